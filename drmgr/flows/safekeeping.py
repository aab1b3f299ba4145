"""What a new host will need, kept beside the repositories: the recovery kit, the evidence and the audit log."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Final

from drmgr.errors import EvidenceError
from drmgr.flows.kit import Kit, contents, kit_bytes
from drmgr.interfaces import Sealer, Shelf

KITS: Final = "kit"
EVIDENCE: Final = "evidence"
AUDIT: Final = "audit"

LONGEST_AGE: Final = timedelta(days=7)
"""An unchanged kit is stored again after this time: the bucket's lock on the last one runs out some day."""

LARGEST_PIECE: Final = 8 << 20
"""Bytes of the audit log in one sealed piece."""


@dataclass(frozen=True)
class Kept:
    """What one round added to the shelf."""

    kit: bool
    evidence: int
    audit_bytes: int


@dataclass(frozen=True)
class Records:
    """What one installation of drmgr has written. ``installation`` tells it from one that was recovered from it."""

    installation: str
    evidence: Sequence[Path]
    audit_log: Path


def keep(shelf: Shelf, sealer: Sealer, kit: Kit, records: Records) -> Kept:
    """Brings the shelf up to date: the kit when it changed or grew old, new evidence, and the audit log's new lines.

    Raises RepositoryError when the store refuses, EvidenceError when the audit log is shorter than what is kept of it.
    """
    return Kept(
        _keep_kit(shelf, sealer, kit), _keep_evidence(shelf, sealer, records), _keep_audit(shelf, sealer, records)
    )


def _keep_kit(shelf: Shelf, sealer: Sealer, kit: Kit) -> bool:
    mark = sealer.mark(contents(kit))
    # only the newest counts: another host that was recovered from the kit may have stored its own meanwhile
    if any(_is_of(name, mark, kit) for name in shelf.names(KITS)[-1:]):
        return False
    name = f"{KITS}/{kit.made_at:%Y%m%dT%H%M%S}-{mark}"
    shelf.put(name, sealer.seal(name, kit_bytes(kit)))
    return True


def _is_of(name: str, mark: str, kit: Kit) -> bool:
    return name.endswith(f"-{mark}") and name >= f"{KITS}/{kit.made_at - LONGEST_AGE:%Y%m%dT%H%M%S}"


def _keep_evidence(shelf: Shelf, sealer: Sealer, records: Records) -> int:
    folder = f"{EVIDENCE}/{records.installation}"
    there = set(shelf.names(folder))
    new = [path for path in records.evidence if f"{folder}/{path.name}" not in there]
    for path in new:
        name = f"{folder}/{path.name}"
        shelf.put(name, sealer.seal(name, _read(path)))
    return len(new)


def _keep_audit(shelf: Shelf, sealer: Sealer, records: Records) -> int:
    log, folder = records.audit_log, f"{AUDIT}/{records.installation}"
    kept = max((end for _, end in map(span, shelf.names(folder))), default=0)
    size = log.stat().st_size if log.exists() else 0
    if size < kept:
        raise EvidenceError(
            f"the audit log has {size} bytes, but {kept} of it are kept in the {shelf.where}",
            hint="it was cut off or put back to an older one; see: drmgr audit verify",
        )
    added = 0
    for start, piece in _pieces(log, kept):
        name = f"{folder}/{start:015d}-{start + len(piece):015d}"
        shelf.put(name, sealer.seal(name, piece))
        added += len(piece)
    return added


def span(name: str) -> tuple[int, int]:
    """From which byte of the audit log to which the piece of that name reaches. Raises EvidenceError."""
    try:
        start, end = (int(number) for number in name.rpartition("/")[2].split("-"))
    except ValueError as error:
        raise EvidenceError(f"{name} is no piece of an audit log") from error
    return start, end


def _pieces(log: Path, start: int) -> Iterator[tuple[int, bytes]]:
    """Whole lines only: a torn one may still be put aside."""
    try:
        with log.open("rb") as file:
            file.seek(start)
            while block := file.read(LARGEST_PIECE):
                whole = block[: block.rfind(b"\n") + 1]
                if not whole:
                    return
                yield start, whole
                start = file.seek(start + len(whole))
    except FileNotFoundError:
        return
    except OSError as error:
        raise EvidenceError(f"the audit log cannot be read: {(error.strerror or '').lower()}") from error


def _read(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        raise EvidenceError(f"{path.name} cannot be read: {(error.strerror or '').lower()}") from error
