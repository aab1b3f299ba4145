"""Shipped logs as a repository holds them: by their tags alone it is known how far they reach."""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime

from drmgr.errors import RepositoryDamagedError
from drmgr.flows.points import MARK
from drmgr.interfaces import Repository
from drmgr.model import Barrier, Json, LogBatch, Member, Snapshot
from drmgr.system.clock import rfc3339

MANIFEST = "manifest.json"
LOG_TAG = "kind=wal"


@dataclass(frozen=True)
class LogRange:
    """One shipped snapshot, as its tags tell it; see model.LogBatch."""

    snapshot: Snapshot
    chain: str
    timeline: int
    first: int
    last: int
    until: datetime | None
    position: int
    twice: tuple[datetime, datetime] | None = None
    barrier: Barrier | None = None
    begun: datetime | None = None

    def stops(self, member: Member) -> Barrier | None:
        """What keeps the member from going through all of it: one that was backed up by its server's files passes it."""
        if self.barrier is None or member.engine.endswith("-physical"):
            return None
        return self.barrier if member.facts.groups["recovery"]["position"] < self.barrier.last else None


def log_tags(system: str, source: str, batch: LogBatch) -> tuple[str, ...]:
    """What the list of snapshots alone must tell, so that no manifest has to be read to know what can be reached."""
    until = () if batch.until is None else (f"until={rfc3339(batch.until)}", f"position={batch.position}")
    twice = () if batch.twice is None else (f"twice={rfc3339(batch.twice[0])}/{rfc3339(batch.twice[1])}",)
    stop = batch.barrier
    barrier = () if stop is None else (f"barrier={stop.first}/{stop.last}/{rfc3339(stop.at)}",)
    begun = () if batch.begun is None else (f"begun={rfc3339(batch.begun)}",)
    span = f"log={batch.timeline}:{batch.first}-{batch.last}"
    return (
        MARK,
        f"system={system}",
        f"source={source}",
        LOG_TAG,
        f"chain={batch.chain}",
        span,
        *until,
        *twice,
        *barrier,
        *begun,
    )


def manifest_json(batch: LogBatch) -> dict[str, Json]:
    return {
        "chain": batch.chain,
        "timeline": batch.timeline,
        "first": batch.first,
        "last": batch.last,
        "until": None if batch.until is None else rfc3339(batch.until),
        "position": batch.position,
        "marks": dict(batch.marks),
        "files": [{"name": file.name, "size": file.size, "sha256": file.sha256} for file in batch.files],
    }


def log_ranges(repository: Repository, system: str, source: str) -> tuple[LogRange, ...]:
    """All that was shipped of the source, in the order of its log. Raises RepositoryError."""
    return ranges_in(repository.snapshots((MARK, f"system={system}", f"source={source}", LOG_TAG)).snapshots, source)


def ranges_in(snapshots: Iterable[Snapshot], source: str) -> tuple[LogRange, ...]:
    """Those among the snapshots of one system that hold the source's log. Raises RepositoryDamagedError."""
    wanted = {f"source={source}", LOG_TAG}
    ranges = [_range(snapshot) for snapshot in snapshots if wanted <= set(snapshot.tags)]
    return tuple(sorted(ranges, key=lambda each: (each.timeline, each.first, each.last)))


def _range(snapshot: Snapshot) -> LogRange:
    tags = dict(tag.partition("=")[::2] for tag in snapshot.tags)
    try:
        timeline, _, span = tags["log"].partition(":")
        first, _, last = span.partition("-")
        until = datetime.fromisoformat(tags["until"]) if "until" in tags else None
        stop = tags["barrier"].split("/") if "barrier" in tags else None
        barrier = None if stop is None else Barrier(int(stop[0]), int(stop[1]), datetime.fromisoformat(stop[2]))
        low, _, high = tags.get("twice", "").partition("/")
        twice = (datetime.fromisoformat(low), datetime.fromisoformat(high)) if low else None
        begun = datetime.fromisoformat(tags["begun"]) if "begun" in tags else None
        numbers = (int(timeline), int(first), int(last))
        return LogRange(snapshot, tags["chain"], *numbers, until, int(tags.get("position", 0)), twice, barrier, begun)
    except (KeyError, ValueError, IndexError) as error:
        raise RepositoryDamagedError(f"snapshot {snapshot.id[:8]} does not say which log it holds") from error
