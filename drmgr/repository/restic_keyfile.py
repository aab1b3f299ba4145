"""A key file of restic's: the repository's master key under a password, as restic's design document describes it."""

import base64
import hashlib
import json
import secrets
from datetime import datetime
from typing import Final

from cryptography.hazmat.primitives.ciphers import Cipher
from cryptography.hazmat.primitives.ciphers.algorithms import AES
from cryptography.hazmat.primitives.ciphers.modes import CTR, ECB
from cryptography.hazmat.primitives.poly1305 import Poly1305

from drmgr.system.clock import rfc3339
from drmgr.system.secret import Secret

COST: Final = {"N": 2**10, "r": 8, "p": 1}
"""scrypt's: a few milliseconds. Our passwords are 256 random bits, of which nobody guesses one at any cost."""

SALT_BYTES: Final = 64
NONCE_BYTES: Final = 16


def key_file(master: bytes, password: Secret, host: str, at: datetime) -> tuple[str, bytes]:
    """The file's name, which is the SHA-256 of its content, and the content.

    ``master`` is the repository's key as ``restic cat masterkey`` tells it, ``host`` and ``at`` stand in the file for people.
    """
    salt = secrets.token_bytes(SALT_BYTES)
    document = {
        "created": rfc3339(at),
        "username": "drmgr",
        "hostname": host,
        "kdf": "scrypt",
        **COST,
        "salt": base64.b64encode(salt).decode(),
        "data": base64.b64encode(sealed(_derived(password, salt), master)).decode(),
    }
    content = json.dumps(document).encode()
    return hashlib.sha256(content).hexdigest(), content


def _derived(password: Secret, salt: bytes) -> bytes:
    n, r, p = COST.values()
    return hashlib.scrypt(password.reveal().encode(), salt=salt, n=n, r=r, p=p, dklen=64)


def sealed(key: bytes, content: bytes) -> bytes:
    """The content as restic encrypts it: AES-256-CTR, then Poly1305-AES over what that gave. The key has 64 bytes."""
    nonce = secrets.token_bytes(NONCE_BYTES)
    hidden = Cipher(AES(key[:32]), CTR(nonce)).encryptor().update(content)
    # the one-time key of Poly1305-AES holds the nonce, encrypted as one block
    block = Cipher(AES(key[32:48]), ECB()).encryptor().update(nonce)  # noqa: S305 - as the construction asks
    return nonce + hidden + Poly1305.generate_tag(key[48:64] + block, hidden)
