"""DSSE envelopes: how a statement is signed, written as bytes, read back, and held against a key."""

import base64
import binascii
import hashlib
import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from drmgr.errors import EvidenceError
from drmgr.evidence.canonical import canonical
from drmgr.model import Json

if TYPE_CHECKING:
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey

PAYLOAD_TYPE: Final = "application/vnd.in-toto+json"


@dataclass(frozen=True)
class Signed:
    """An envelope as it was read: the statement's bytes, who claims to have signed them, and the bytes that are signed."""

    payload: bytes
    payload_type: str
    signatures: tuple[tuple[str, bytes], ...]
    signed_bytes: bytes
    canonical_file: bytes
    """What the file would be if drmgr wrote this envelope; anything else was put in by someone."""


def key_id(public_key: "Ed25519PublicKey") -> str:
    """SHA-256 of the key's SubjectPublicKeyInfo in DER, in hex."""
    return hashlib.sha256(public_key.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)).hexdigest()


def sign_statement(statement: dict[str, Json], private_key: "Ed25519PrivateKey") -> bytes:
    """The bytes of the envelope file: the canonical statement, signed with Ed25519. Raises EvidenceError."""
    from securesystemslib.dsse import Envelope

    envelope = Envelope(canonical(statement), PAYLOAD_TYPE, {})
    signature = base64.b64encode(private_key.sign(envelope.pae())).decode()
    signatures = [{"keyid": key_id(private_key.public_key()), "sig": signature}]
    return _file_bytes({**envelope.to_dict(), "signatures": signatures})


def read_envelope(content: bytes) -> Signed:
    """Takes an envelope file apart; proves nothing yet.

    Raises EvidenceError when it is no DSSE envelope, saying whether it was cut off.
    """
    from securesystemslib.dsse import Envelope
    from securesystemslib.exceptions import FormatError

    if not content:
        raise EvidenceError("the file is empty")
    try:
        data = json.loads(content)
    except (ValueError, RecursionError) as error:
        cut = isinstance(error, json.JSONDecodeError) and not content.rstrip().endswith(b"}")
        raise EvidenceError("the file is truncated" if cut else "the file is not JSON") from error
    try:
        envelope = Envelope.from_dict(data)
        signatures = tuple((str(name), bytes.fromhex(sig.signature)) for name, sig in envelope.signatures.items())
        return Signed(
            envelope.payload,
            envelope.payload_type,
            signatures,
            envelope.pae(),
            _file_bytes(envelope.to_dict()),
        )
    except (KeyError, TypeError, AttributeError, ValueError, binascii.Error, FormatError) as error:
        raise EvidenceError("the file is not a signed envelope") from error


def signature_holds(signed: Signed, public_key: "Ed25519PublicKey") -> bool:
    """True when one of the signatures was made over exactly these bytes with the key's other half."""
    for _, signature in signed.signatures:
        try:
            public_key.verify(signature, signed.signed_bytes)
        except InvalidSignature:
            continue
        return True
    return False


def _file_bytes(envelope: dict[str, Json]) -> bytes:
    return json.dumps(envelope, indent=2, sort_keys=True).encode() + b"\n"
