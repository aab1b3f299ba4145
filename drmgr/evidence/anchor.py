"""The head of the evidence's chain as a signed object, to be kept where nobody can take it away: in the locked bucket."""

import json
from collections.abc import Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from drmgr.errors import EvidenceError
from drmgr.evidence.sign import read_envelope, sign_statement, signature_holds

if TYPE_CHECKING:
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey

    from drmgr.evidence.chain import Link

SCHEMA: Final = "drmgr/evidence-anchor/1"


@dataclass(frozen=True)
class Anchored:
    """A document that was the newest one at ``at``; ``sha256`` is of its file. ``where``: what knows it, if no anchor."""

    sequence: int
    sha256: str
    at: str
    where: str = ""

    @property
    def named(self) -> str:
        return f"{self.where} of {self.at}" if self.where else f"the anchor of {self.at} in the bucket"


def anchor_name(link: "Link") -> str:
    return f"{link.sequence:06d}-{link.sha256}.json"


def anchor_bytes(link: "Link", host: str, at: str, key: "Ed25519PrivateKey") -> bytes:
    """The anchor, signed with the key of the evidence itself. Raises EvidenceError."""
    content = {"schema": SCHEMA, "sequence": link.sequence, "sha256": link.sha256, "host": host, "at": at}
    return sign_statement(content, key)


def read_anchors(found: Iterable[tuple[str, bytes]], key: "Ed25519PublicKey") -> tuple[list[Anchored], list[str]]:
    """Those that the key signed, and what is wrong with each of the others."""
    good: list[Anchored] = []
    strange: list[str] = []
    for name, content in found:
        try:
            good.append(_read(name, content, key))
        except (EvidenceError, ValueError, LookupError, TypeError) as error:
            strange.append(f"the anchor {name} in the bucket proves nothing: {error}")
    return good, strange


def _read(name: str, content: bytes, key: "Ed25519PublicKey") -> Anchored:
    signed = read_envelope(content)
    if not signature_holds(signed, key):
        raise ValueError("it was changed, or signed by another key")
    statement = json.loads(signed.payload)
    if statement.get("schema") != SCHEMA:
        raise ValueError("it is no anchor")
    anchored = Anchored(int(statement["sequence"]), str(statement["sha256"]), str(statement["at"]))
    if name != f"{anchored.sequence:06d}-{anchored.sha256}.json":
        raise ValueError("it was stored under another's name")
    return anchored
