"""Holds evidence against a public key and the chain: which document, which field group, what is missing."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Final

from drmgr.errors import EvidenceError
from drmgr.evidence.anchor import Anchored
from drmgr.evidence.build import GROUPS, PREDICATE_TYPE, STATEMENT_TYPE
from drmgr.evidence.canonical import canonical, digest
from drmgr.evidence.chain import ChainVerdict, Gap, file_name, judge, links
from drmgr.evidence.note import NOTE_GROUPS, NOTE_TYPE
from drmgr.evidence.sign import PAYLOAD_TYPE, Signed, key_id, read_envelope, signature_holds
from drmgr.model import EvidenceEntry, Json

if TYPE_CHECKING:
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey


KINDS: Final = {PREDICATE_TYPE: GROUPS, NOTE_TYPE: NOTE_GROUPS}
"""What kinds of documents a chain holds, and the field groups of each."""


@dataclass(frozen=True)
class DocumentVerdict:
    """``reason`` says in one line what is wrong, or what was proven."""

    path: Path
    ok: bool
    reason: str


@dataclass(frozen=True)
class Verification:
    """Everything ``evidence verify`` answers."""

    documents: tuple[DocumentVerdict, ...]
    chain: ChainVerdict

    @property
    def ok(self) -> bool:
        return self.chain.ok and all(document.ok for document in self.documents)

    def to_json(self) -> dict[str, Json]:
        gaps = [{"sequence": gap.sequence, "reason": gap.reason} for gap in self.chain.gaps]
        return {
            "ok": self.ok,
            "documents": [{"path": str(d.path), "ok": d.ok, "reason": d.reason} for d in self.documents],
            "chain": {"ok": self.chain.ok, "length": self.chain.length, "gaps": gaps},
        }


def verify_path(path: Path, public_key: "Ed25519PublicKey") -> DocumentVerdict:
    """One document against the key. Never raises for a document that is wrong; that is its verdict."""
    return _examine(path, public_key)[0]


def verify_all(
    directory: Path,
    public_key: "Ed25519PublicKey",
    catalog_entries: Sequence[EvidenceEntry] | None,
    anchored: Sequence[Anchored] = (),
) -> Verification:
    """Every document of the directory, and the chain through them.

    ``catalog_entries`` is what the catalog remembers, None when there is no catalog; ``anchored`` is what the bucket
    holds. Without both nobody can tell whether the newest documents were taken away. A directory that is not there is
    not ok, nor is an empty one without a catalog.
    """
    if not directory.is_dir():
        gap = Gap(0, f"the evidence directory {directory} is not there")
        return Verification((), ChainVerdict(False, 0, (gap,)))
    try:
        chain = links(directory)
    except EvidenceError as error:
        return Verification((), ChainVerdict(False, 0, (Gap(0, error.message),)))
    if not chain and catalog_entries is None:
        gap = Gap(0, f"there is no evidence document in {directory}")
        return Verification((), ChainVerdict(False, 0, (gap,)))
    verdicts: list[DocumentVerdict] = []
    previous: dict[int, str | None] = {}
    for link in chain:
        verdict, header = _examine(link.path, public_key)
        verdicts.append(verdict)
        if header is not None and "previous" in header:
            previous[link.sequence] = header["previous"]
    return Verification(tuple(verdicts), judge(chain, previous, catalog_entries, anchored))


def _examine(path: Path, public_key: "Ed25519PublicKey") -> tuple[DocumentVerdict, Mapping[str, Json] | None]:
    """The verdict, and the header as far as it can be read."""
    try:
        content = path.read_bytes()
        signed = read_envelope(content)
    except OSError as error:
        return DocumentVerdict(path, False, f"{path.name} cannot be read: {error.strerror}"), None
    except EvidenceError as error:
        return DocumentVerdict(path, False, f"{path.name}: {error.message}"), None
    statement, unreadable = _statement(signed.payload)
    header = _header(statement)
    problems = [unreadable] if unreadable else _tampered(statement)
    problems += _signature_problems(signed, public_key)
    if not problems:
        problems = _form_problems(path, content, signed, statement, header)
    if problems:
        return DocumentVerdict(path, False, f"{path.name}: {'; '.join(problems)}"), header
    return DocumentVerdict(path, True, "signature and all field groups hold"), header


def _statement(payload: bytes) -> tuple[Mapping[str, Json], str]:
    """The statement, or an empty one and why it cannot be read."""
    try:
        statement = json.loads(payload)
    except (ValueError, RecursionError) as error:
        at = getattr(error, "pos", getattr(error, "start", None))
        group = None if at is None else _group_at(payload, at)
        where = f", damaged in field group {group}" if group else ""
        return {}, f"the signed content is not JSON{where}"
    if not isinstance(statement, dict) or not isinstance(statement.get("predicate"), dict):
        return {}, "the signed content is not an in-toto statement"
    return statement, ""


def _group_at(payload: bytes, position: int) -> str | None:
    """The group whose name stands last before the damage: canonical JSON writes the groups one after another."""
    names = {group for groups in KINDS.values() for group in groups}
    starts = {group: payload.rfind(f'"{group}":'.encode(), 0, position + 1) for group in names}
    group, start = max(starts.items(), key=lambda item: item[1])
    return group if start >= 0 else None


def _header(statement: Mapping[str, Json]) -> Mapping[str, Json] | None:
    header = statement.get("predicate", {}).get("header")
    return header if isinstance(header, dict) else None


def _tampered(statement: Mapping[str, Json]) -> list[str]:
    """Field groups that are gone, put in, or no longer what their digest in ``subject`` says."""
    predicate, digests = statement["predicate"], _digests(statement)
    groups = KINDS.get(str(statement.get("predicateType")), GROUPS)
    gone = [group for group in groups if group not in predicate]
    added = sorted(set(predicate) - set(groups))
    changed = [group for group in groups if group in predicate and not _agrees(predicate[group], digests.get(group))]
    problems = []
    if changed:
        problems.append(f"field group{_plural(changed)} tampered with: {', '.join(changed)}")
    if gone:
        problems.append(f"field group{_plural(gone)} taken out: {', '.join(gone)}")
    if added:
        problems.append(f"field group{_plural(added)} put in: {', '.join(added)}")
    return problems


def _agrees(group: Json, expected: Json) -> bool:
    try:
        return digest(group) == str(expected)
    except EvidenceError:
        return False


def _plural(items: Sequence[str]) -> str:
    return "s" if len(items) > 1 else ""


def _digests(statement: Mapping[str, Json]) -> dict[str, Json]:
    subject = statement.get("subject")
    if not isinstance(subject, list):
        return {}
    return {
        item["name"]: item["digest"].get("sha256")
        for item in subject
        if isinstance(item, dict) and isinstance(item.get("name"), str) and isinstance(item.get("digest"), dict)
    }


def _signature_problems(signed: Signed, public_key: "Ed25519PublicKey") -> list[str]:
    keyid = key_id(public_key)
    names = [name for name, _ in signed.signatures]
    if not names:
        return ["it carries no signature"]
    if signature_holds(signed, public_key):
        return [] if names == [keyid] else ["the signature holds, but the key id beside it was changed"]
    if keyid not in names:
        return [f"signed with another key: {names[0][:16]}, not {keyid[:16]}"]
    return ["the signature does not match the content"]


def _form_problems(
    path: Path, content: bytes, signed: Signed, statement: Mapping[str, Json], header: Mapping[str, Json] | None
) -> list[str]:
    """What a good signature does not cover: the file around it, its name, and the kind of statement."""
    problems = []
    if signed.payload_type != PAYLOAD_TYPE or statement.get("_type") != STATEMENT_TYPE:
        problems.append("the signed content is of another kind than evidence")
    if statement.get("predicateType") not in KINDS:
        problems.append(f"predicate type {statement.get('predicateType')} is not known to this version")
    if signed.canonical_file != content or canonical(statement) != signed.payload:
        problems.append("the file around the signed content was changed after sealing")
    if header is None or path.name != _name_of(header):
        problems.append("the file's name is not the one of the document inside")
    return problems


def _name_of(header: Mapping[str, Json]) -> str:
    sequence = header.get("sequence")
    return file_name(sequence, str(header.get("id"))) if isinstance(sequence, int) else ""
