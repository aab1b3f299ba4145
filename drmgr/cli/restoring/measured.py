"""What signed evidence says of a system's drills and restores: how long they took, and which points were proven."""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import TYPE_CHECKING, Any

from drmgr.errors import EvidenceError
from drmgr.model import RunKind

if TYPE_CHECKING:
    from drmgr.cli.wiring.wire import Site

LOOKED_AT = 60
"""The newest documents are enough: at 3 a.m. nobody waits for years of them to be verified."""


@dataclass(frozen=True)
class Proven:
    """A point that a drill or restore brought back with all its sources, and how far it was verified."""

    level: int
    at: datetime
    name: str


@dataclass(frozen=True)
class Took:
    """Seconds from the beginning of the command to T6 that bringing the whole system back took, of so many bytes."""

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
    return from_documents(ways_back(opened, system), system)


def from_documents(predicates: Iterable[Mapping[str, Any]], system: str) -> Measured:
    """What these documents, newest first, tell of the system."""
    took: list[Took] = []
    proven: dict[str, Proven] = {}
    for predicate in predicates:
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
    if point is None or verdict["verdict"] != "passed" or not _whole(predicate, system, point):
        return
    seconds = command_seconds(next(each for each in predicate["metrics"] if each["system"] == system))
    if seconds is not None and verdict["level"] > 0 and _to_a_server(predicate):
        took.append(Took(seconds, sum(member["bytes"] for member in point["members"]), at, name))
    before = proven.get(point["id"])
    if before is None or before.level < verdict["level"]:
        proven[point["id"]] = Proven(int(verdict["level"]), at, name)


def _whole(predicate: Mapping[str, Any], system: str, point: Mapping[str, Any]) -> bool:
    """Whether all sources of the point were brought back by this very run, and every check of theirs was made."""
    steps = [step for step in predicate["steps"] if step["system"] == system and step["action"] == "restore"]
    skipped = any(each["system"] == system and each["status"] == "skipped" for each in predicate["checks"])
    return not skipped and {member["source"] for member in point["members"]} <= {step["source"] for step in steps}


def _to_a_server(predicate: Mapping[str, Any]) -> bool:
    """Not to a folder, where nothing is loaded, and not to look at single tables, which takes a time of its own."""
    environment = predicate["environment"]
    tables = "tables" in environment or any(step["action"] in ("lay-table", "compare") for step in predicate["steps"])
    return not tables and not str(environment["target"]).startswith("folder:")


def command_seconds(metric: Mapping[str, Any]) -> float | None:
    """From the beginning of the command, whenever the fault was. Where no beginning is told, that was T0."""
    measured, fault, begun = metric["rto"]["measured"], metric.get("t0"), metric.get("begun")
    if measured is None or fault is None or begun is None:
        return None if measured is None else float(measured)
    waited = datetime.fromisoformat(begun) - datetime.fromisoformat(fault)
    return round(float(measured) - waited.total_seconds(), 3)
