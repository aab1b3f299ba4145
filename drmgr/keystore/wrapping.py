"""The cryptography of the keystore: a key from a passphrase, and secrets wrapped under a key. Knows no files."""

import base64
import secrets
import unicodedata
from dataclasses import dataclass

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.kdf.scrypt import Scrypt

from drmgr.model import Json
from drmgr.system.secret import Secret

KEY_BYTES = 32
NONCE_BYTES = 12
SALT_BYTES = 16


@dataclass(frozen=True)
class ScryptCost:
    """How dear one guess of the passphrase is: memory is 128 * n * r bytes, time grows with n * r * p."""

    n: int = 2**15
    r: int = 8
    p: int = 3


DEAREST = ScryptCost(n=2**20, r=16, p=16)
"""What a file may ask for at most: a damaged one must not take all memory."""


class NotOpenedError(Exception):
    """The wrapped value was made under another key or for another purpose, or was changed."""


def derive_key(passphrase: Secret, salt: bytes, cost: ScryptCost) -> bytes:
    """The key that belongs to the passphrase. Raises ValueError for a cost out of bounds.

    The same passphrase typed on systems that compose accents differently gives the same key.
    """
    if cost.n > DEAREST.n or cost.r > DEAREST.r or cost.p > DEAREST.p:
        raise ValueError("the cost of the key derivation is out of bounds")
    text = unicodedata.normalize("NFC", passphrase.reveal())
    scrypt = Scrypt(salt=salt, length=KEY_BYTES, n=cost.n, r=cost.r, p=cost.p)
    return scrypt.derive(text.encode("utf-8", "surrogateescape"))


def wrap(key: bytes, value: bytes, purpose: bytes) -> dict[str, Json]:
    """The value encrypted and bound to its purpose, as a JSON object."""
    nonce = secrets.token_bytes(NONCE_BYTES)
    return {"nonce": to_text(nonce), "wrapped": to_text(AESGCM(key).encrypt(nonce, value, purpose))}


def unwrap(key: bytes, wrapped: Json, purpose: bytes) -> bytes:
    """The value back. Raises NotOpenedError when key, value and purpose do not belong together."""
    try:
        return AESGCM(key).decrypt(from_text(wrapped["nonce"]), from_text(wrapped["wrapped"]), purpose)
    except (InvalidTag, KeyError, TypeError, ValueError) as error:
        raise NotOpenedError from error


def to_text(value: bytes) -> str:
    """Bytes as they stand in JSON: base64."""
    return base64.b64encode(value).decode("ascii")


def from_text(text: str) -> bytes:
    """Those bytes back. Raises ValueError."""
    return base64.b64decode(text, validate=True)
