"""The chain of documents in one directory: names, order, and what is missing from it. Reads file bytes, no keys."""

import hashlib
import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Final

from drmgr.errors import EvidenceError
from drmgr.evidence.anchor import Anchored
from drmgr.model import EvidenceEntry

_NAME: Final = re.compile(r"(\d{6,})-([0-9A-Z]{26})\.json")


@dataclass(frozen=True)
class Link:
    """One document's place in the chain, by its file's name and bytes."""

    path: Path
    sequence: int
    id: str
    sha256: str


@dataclass(frozen=True)
class Gap:
    """One place where the chain does not hold."""

    sequence: int
    reason: str


@dataclass(frozen=True)
class ChainVerdict:
    ok: bool
    length: int
    gaps: tuple[Gap, ...]


def file_name(sequence: int, evidence_id: str) -> str:
    return f"{sequence:06d}-{evidence_id}.json"


def links(directory: Path) -> list[Link]:
    """All documents of the directory in the order of their sequence numbers; files of other names are not documents.

    Raises EvidenceError when the directory or a document cannot be read.
    """
    found: list[Link] = []
    try:
        for path in directory.iterdir():
            match = _NAME.fullmatch(path.name)
            if match:
                found.append(Link(path, int(match[1]), match[2], hash_file(path)))
    except OSError as error:
        raise EvidenceError(f"the evidence in {directory} cannot be read: {error.strerror}") from error
    return sorted(found, key=lambda link: (link.sequence, link.id))


def first_id(directory: Path) -> str:
    """The id of the first document, empty without one: by it a chain is known. Raises EvidenceError."""
    try:
        names = [path.name for path in directory.iterdir() if _NAME.fullmatch(path.name)] if directory.is_dir() else []
    except OSError as error:
        raise EvidenceError(f"the evidence in {directory} cannot be read: {error.strerror}") from error
    return min(names, default="").partition("-")[2].removesuffix(".json")


def newest(directory: Path) -> Link | None:
    """The newest document; None when there is none, or no directory. Raises EvidenceError."""
    try:
        names = [path.name for path in directory.iterdir() if _NAME.fullmatch(path.name)] if directory.is_dir() else []
        if not names:
            return None
        sequence, _, rest = max(names, key=lambda name: (int(name.partition("-")[0]), name)).partition("-")
        path = directory / f"{sequence}-{rest}"
        return Link(path, int(sequence), rest.removesuffix(".json"), hash_file(path))
    except OSError as error:
        raise EvidenceError(f"the evidence in {directory} cannot be read: {error.strerror}") from error


def hash_file(path: Path) -> str:
    """SHA-256 of a file's bytes, in hex. Raises OSError."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def judge(
    chain: Sequence[Link],
    previous: dict[int, str | None],
    remembered: Sequence[EvidenceEntry] | None,
    anchored: Sequence[Anchored] = (),
) -> ChainVerdict:
    """Looks for missing, doubled, swapped and cut-off documents.

    ``previous`` is what each readable document says was the SHA-256 of the one before it. ``remembered`` is the
    catalog's list, ``anchored`` what the bucket holds; without them nobody can tell that the newest documents were taken
    away.
    """
    gaps = [
        *_numbering(chain),
        *_hashes(chain, previous),
        *_against_catalog(chain, remembered or ()),
        *against_anchors(chain, anchored),
    ]
    ordered = tuple(sorted(gaps, key=lambda gap: gap.sequence))
    return ChainVerdict(not ordered, len(chain), ordered)


def _numbering(chain: Sequence[Link]) -> list[Gap]:
    counted = Counter(link.sequence for link in chain)
    numbers = sorted(counted)
    missing = [
        Gap(
            low + 1,
            f"document {low + 1} is missing" if high == low + 2 else f"documents {low + 1} to {high - 1} are missing",
        )
        for low, high in pairwise([0, *numbers])
        if high > low + 1
    ]
    doubled = [Gap(n, f"document {n} is there {times} times") for n, times in counted.items() if times > 1]
    return missing + doubled


def _hashes(chain: Sequence[Link], previous: dict[int, str | None]) -> list[Gap]:
    by_sequence = {link.sequence: link for link in chain}
    gaps = []
    for sequence, link in sorted(by_sequence.items()):
        if sequence not in previous:
            continue
        before = by_sequence.get(sequence - 1)
        claimed = previous[sequence]
        if sequence == 1 and claimed is not None:
            gaps.append(Gap(1, f"document 1 ({link.path.name}) names a document before it, but none can be"))
        elif before is not None and claimed != before.sha256:
            reason = f"document {sequence} ({link.path.name}) does not follow {before.path.name}: another hash is named"
            gaps.append(Gap(sequence, reason))
    return gaps


def _against_catalog(chain: Sequence[Link], remembered: Sequence[EvidenceEntry]) -> list[Gap]:
    by_id = {link.id: link for link in chain}
    gaps = []
    for entry in remembered:
        link = by_id.get(entry.id)
        name = Path(entry.path).name
        if link is None:
            gaps.append(
                Gap(entry.sequence, f"document {entry.sequence} ({name}) is in the catalog but not in the folder")
            )
        elif link.sha256 != entry.sha256:
            gaps.append(Gap(entry.sequence, f"document {entry.sequence} ({name}) is not the one the catalog remembers"))
        elif link.sequence != entry.sequence:
            gaps.append(
                Gap(entry.sequence, f"document {entry.sequence} stands in the folder as number {link.sequence}")
            )
    return gaps


def against_anchors(chain: Sequence[Link], anchored: Sequence[Anchored]) -> list[Gap]:
    """What was changed or taken away of the documents that are known elsewhere."""
    by_sequence = {link.sequence: link for link in chain}
    last = max(by_sequence, default=0)
    gaps = []
    for anchor in anchored:
        link = by_sequence.get(anchor.sequence)
        if link is not None and link.sha256 != anchor.sha256:
            reason = f"document {anchor.sequence} ({link.path.name}) is not the one that {anchor.named} holds"
            gaps.append(Gap(anchor.sequence, reason))
    furthest = max(anchored, key=lambda anchor: anchor.sequence, default=None)
    if furthest is not None and furthest.sequence > last:
        missing = (
            f"document {furthest.sequence} was"
            if furthest.sequence == last + 1
            else f"documents {last + 1} to {furthest.sequence} were"
        )
        gaps.append(Gap(last + 1, f"{missing} taken away: {furthest.named} knows of it"))
    return gaps
