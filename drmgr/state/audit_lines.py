"""The form of the audit log's lines and of the anchors that hold its head elsewhere. Bytes in, bytes out."""

import base64
import binascii
import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import rfc8785

from drmgr.errors import EvidenceError
from drmgr.model import AuditHead, Json

if TYPE_CHECKING:
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey

LINE_SCHEMA: Final = "drmgr/audit/1"
ANCHOR_SCHEMA: Final = "drmgr/audit-anchor/1"
TORN_ACT: Final = "audit.torn"
CATALOG: Final = "the catalog"
"""The place of the anchor that is always there."""


@dataclass(frozen=True)
class Anchor:
    """A head that was remembered outside the log; ``where`` names the place in words."""

    where: str
    head: AuditHead


def signed(content: Mapping[str, Json], key: "Ed25519PrivateKey") -> bytes:
    """The object's RFC 8785 bytes with its signature in it; the signature is over those bytes without it.

    Raises EvidenceError for what has no such form.
    """
    bare = {name: _printable(value) for name, value in content.items()}
    try:
        signature = base64.b64encode(key.sign(rfc8785.dumps(bare))).decode()
        return rfc8785.dumps({**bare, "signature": signature})
    except rfc8785.CanonicalizationError as error:
        raise EvidenceError(f"this cannot be written into the audit log: {error}") from error


def proven(content: bytes, schema: str, key: "Ed25519PublicKey") -> dict[str, Json]:
    """The object, if these are the very bytes that the key's other half signed.

    Raises ValueError with the reason otherwise.
    """
    from cryptography.exceptions import InvalidSignature

    found = read_object(content)
    if found is None or found.get("schema") != schema:
        raise ValueError("it is none that drmgr wrote")
    bare = {name: value for name, value in found.items() if name != "signature"}
    try:
        if rfc8785.dumps(found) != content:
            raise ValueError("it was changed: drmgr writes the same in another form")
        key.verify(base64.b64decode(found["signature"], validate=True), rfc8785.dumps(bare))
    except rfc8785.CanonicalizationError as error:
        raise ValueError("it was changed: it has no canonical form") from error
    except (InvalidSignature, KeyError, TypeError, binascii.Error) as error:
        raise ValueError("it was changed, or signed by another key") from error
    return found


def read_object(content: bytes) -> dict[str, Json] | None:
    """The JSON object; None for anything else. Proves nothing."""
    try:
        found = json.loads(content)
    except (ValueError, RecursionError):
        return None
    return found if isinstance(found, dict) else None


def head_of(line: bytes) -> AuditHead | None:
    """The line as a head; None when it is no line of an audit log. Proves nothing."""
    found = read_object(line) or {}
    log, sequence = found.get("log"), found.get("sequence")
    if not isinstance(log, str) or not isinstance(sequence, int):
        return None
    return AuditHead(log, sequence, hashlib.sha256(line).hexdigest())


def torn_file(digest: str) -> str:
    """The name under which a torn line is kept beside the log."""
    return f"torn-{digest[:16]}.bin"


def anchor_name(head: AuditHead) -> str:
    return f"{head.sequence:09d}-{head.sha256}.json"


def anchor_bytes(head: AuditHead, host: str, at: str, key: "Ed25519PrivateKey") -> bytes:
    """The head as a signed object, to be kept where nobody can take it away. Raises EvidenceError."""
    content = {"log": head.log, "sequence": head.sequence, "sha256": head.sha256, "host": host, "at": at}
    return signed({"schema": ANCHOR_SCHEMA, **content}, key)


def read_anchor(name: str, content: bytes, host: str, key: "Ed25519PublicKey") -> Anchor | None:
    """The anchor; None for one of another host's log. Raises ValueError for one that was not signed by the key."""
    found = proven(content, ANCHOR_SCHEMA, key)
    head = AuditHead(str(found["log"]), int(found["sequence"]), str(found["sha256"]))
    if anchor_name(head) != name:
        raise ValueError("it was stored under another's name")
    return Anchor(f"the anchor of {found['at']}", head) if found["host"] == host else None


def _printable(value: Json) -> Json:
    if isinstance(value, str):
        # a name that is no UTF-8, say of an account, must not keep its act out of the log
        return value.encode("utf-8", "backslashreplace").decode()
    if isinstance(value, dict):
        return {str(name): _printable(item) for name, item in value.items()}
    if isinstance(value, list | tuple):
        return [_printable(item) for item in value]
    return value
