"""What signed evidence says of a system's drills and restores: how long they took, and which points were proven."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import TYPE_CHECKING, Any

from drmgr.errors import EvidenceError
from drmgr.model import RunKind

if TYPE_CHECKING:
    from drmgr.cli.wire import Site

LOOKED_AT = 60
"""The newest documents are enough: at 3 a.m. nobody waits for years of them to be verified."""


@dataclass(frozen=True)
class Proven:
    """A point that a drill or restore brought back, and how far it was verified."""

    level: int
    at: datetime
    name: str


@dataclass(frozen=True)
class Took:
    """Seconds from T0 to T6 that bringing the system back took, of so many bytes."""

    seconds: float
    size: int
    at: datetime
    name: str


@dataclass(frozen=True)
class Measured:
    """Newest first in ``took``; the best proof of each point."""

    took: tuple[Took, ...] = ()
    proven: Mapping[str, Proven] = field(default_factory=dict)

    def expected(self) -> Took | None:
        """The newest is the best guess: the data grow, and the hardware changes."""
        return self.took[0] if self.took else None


def measured(opened: "Site", system: str) -> Measured:
    """From documents that verify, and no others. Raises KeystoreError."""
    took: list[Took] = []
    proven: dict[str, Proven] = {}
    for predicate in ways_back(opened, system):
        _take(predicate, system, took, proven)
    return Measured(tuple(took), proven)


def ways_back(opened: "Site", system: str) -> Iterator[Mapping[str, Any]]:
    """The newest drills and restores of the system whose evidence holds, newest first. Raises KeystoreError."""
    from drmgr.evidence.chain import links
    from drmgr.evidence.store import load
    from drmgr.evidence.verify import verify_path
    from drmgr.keystore.evidence_keys import EVIDENCE_PUBLIC_FILE, evidence_public_key

    folder = opened.evidence_directory
    if not folder.is_dir():
        return
    key = evidence_public_key(opened.keys_directory / EVIDENCE_PUBLIC_FILE)
    for link in list(reversed(links(folder)))[:LOOKED_AT]:
        try:
            predicate = load(link.path)
        except EvidenceError:
            continue
        if _about(predicate, system) and verify_path(link.path, key).ok:
            yield predicate


def _about(predicate: Mapping[str, Any], system: str) -> bool:
    """A note repeats the verdict of its restore, and brought nothing back."""
    kinds = {RunKind.DRILL.value, RunKind.RESTORE.value}
    return predicate["header"].get("kind") in kinds and any(
        each["system"] == system for each in predicate["verdict"]["systems"]
    )


def _take(predicate: Mapping[str, Any], system: str, took: list[Took], proven: dict[str, Proven]) -> None:
    header = predicate["header"]
    at, name = datetime.fromisoformat(header["finished_at"]), str(header["name"])
    verdict = next(each for each in predicate["verdict"]["systems"] if each["system"] == system)
    point = next((each["point"] for each in predicate["backup_set"] if each["system"] == system), None)
    rto = next((each["rto"] for each in predicate["metrics"] if each["system"] == system), None)
    if point is None or verdict["verdict"] != "passed":
        return
    if rto is not None and rto["measured"] is not None:
        took.append(Took(float(rto["measured"]), sum(member["bytes"] for member in point["members"]), at, name))
    before = proven.get(point["id"])
    if before is None or before.level < verdict["level"]:
        proven[point["id"]] = Proven(int(verdict["level"]), at, name)
