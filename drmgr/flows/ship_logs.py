"""Shipping what happens between recovery points: received into a spool, stored, read back, only then let go."""

import errno
import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path

from drmgr.errors import DrmgrError, LockedError, PreflightError, RepositoryError, SourceError, SpoolFullError
from drmgr.flows.bench import Bench, Source, WiredSystem, recorded
from drmgr.flows.points import MARK, find
from drmgr.flows.reach import current, follows
from drmgr.flows.shipped import LOG_TAG, MANIFEST, log_tags, manifest_json, ranges_in
from drmgr.interfaces import LogShipper, Repository
from drmgr.model import LogBatch, RunKind, Snapshot, Tree
from drmgr.system.clock import rfc3339

LONGEST_PAUSE = timedelta(minutes=5)


@dataclass(frozen=True)
class Spool:
    """A source's folder for logs that wait, and how many bytes may wait in it."""

    path: Path
    limit: int


@dataclass(frozen=True)
class Shipped:
    """What one call stored. ``until`` is the time before which all can be restored now; None: no time, for there is no
    recovery point yet, or nothing was stored."""

    run: str
    system: str
    source: str
    files: int
    bytes: int
    until: datetime | None


def ship(bench: Bench, wired: WiredSystem, source: Source, spool: Spool) -> Shipped:
    """Receives, stores and lets go, once.

    Raises LockedError, PreflightError; SourceError when the server gave nothing, or gave it after a gap, and when no
    recovery point reaches what was shipped: what waited is stored all the same; RepositoryError when the store is away,
    SpoolFullError when there is no room to wait any more: what was received stays in the spool.
    """
    name = f"{wired.system.id}-{source.name}"
    logs = _shipper(wired, source)
    with recorded(bench, RunKind.SHIP, wired.system.id) as run, bench.locks.hold(f"ship-{name}"):
        run.detail["source"] = source.name
        held = spooled(spool.path)
        full, lost = held > spool.limit, held == 0
        # a full spool is emptied before it takes more; until then the server keeps the rest
        problem = None if full else _receive(logs, spool.path)
        before = _shipped_before(wired, source) if lost else ()
        stored = _store_all(wired, source, logs, spool)
        if full:
            problem = _receive(logs, spool.path)
            stored += _store_all(wired, source, logs, spool)
        until = max((batch.until for batch in stored if batch.until), default=None)
        files = [file for batch in stored for file in batch.files]
        run.detail.update(files=len(files), until=None if until is None else rfc3339(until))
        problem = problem or _hole(before, stored[0] if stored else None)
        if problem is not None:
            raise problem
        if not _carries_on(bench, wired, source):
            until = None
        return Shipped(run.run.id, wired.system.id, source.name, len(files), sum(file.size for file in files), until)


def _shipped_before(wired: WiredSystem, source: Source) -> tuple[Snapshot, ...]:
    names = (MARK, f"system={wired.system.id}", f"source={source.name}", LOG_TAG)
    return wired.repository.snapshots(names).snapshots


def _hole(before: Sequence[Snapshot], first: LogBatch | None) -> SourceError | None:
    """A spool that is new, or was lost with what it held: the source let that go, for we had it."""
    if first is None:
        return None
    ours = {f"chain={first.chain}"}
    spans = [tag for each in before if ours <= set(each.tags) for tag in each.tags if tag.startswith("log=")]
    ends = [int(span.rpartition("-")[2]) for span in spans if span.startswith(f"log={first.timeline}:")]
    if not ends or first.first <= max(ends) + 1:
        return None
    return SourceError(
        f"the spool was lost with {first.first - max(ends) - 1} files of the log that the source no longer has",
        hint="make a new recovery point now: drmgr backup; no restore can pass the gap",
    )


def _carries_on(bench: Bench, wired: WiredSystem, source: Source) -> bool:
    """False while there is no recovery point. Raises SourceError when there is, and what was shipped does not follow it."""
    found = find(wired.repository, wired.memory or bench.catalog, wired.system.id)
    ranges = ranges_in(found.snapshots, source.name)
    points = current(found.points, {source.name: ranges})
    if not points:
        return False
    if follows(points[-1].point, ranges, source.name):
        return True
    raise SourceError(
        f"no recovery point of {wired.system.id} reaches what is shipped of {source.name}: its log between them is missing, "
        "or was cut by a restore in place",
        hint=f"make a new recovery point now: drmgr backup {wired.system.id}; ship before the first one, and go on shipping",
    )


def follow(
    bench: Bench, act: Callable[[], None], every: timedelta, tell: Callable[[DrmgrError], None], *, turns: int = 0
) -> None:
    """Ships again and again until it is interrupted; ``turns`` 0 means for ever.

    What fails is told and tried again, sooner at first: after 1 s, then twice as long each time, up to ``every``.
    """
    longest = min(every, LONGEST_PAUSE).total_seconds()
    pause, done = 1.0, 0
    while True:
        try:
            act()
            pause, wait = 1.0, every.total_seconds()
        except DrmgrError as error:
            tell(error)
            wait, pause = min(pause, longest), min(pause * 2, longest)
        done += 1
        if done == turns:
            return
        bench.clock.sleep(wait)


def _shipper(wired: WiredSystem, source: Source) -> LogShipper:
    if source.logs is None:
        raise PreflightError(
            f"{wired.system.id}/{source.name} has no log to ship",
            hint="in the site file: method: physical for PostgreSQL, ship_logs: true for SQL Server and MariaDB",
        )
    return source.logs


def _receive(logs: LogShipper, spool: Path) -> DrmgrError | None:
    try:
        spool.mkdir(mode=0o700, parents=True, exist_ok=True)
        return logs.receive(spool)
    except OSError as error:
        raise _unwritten(spool, error) from error
    except LockedError:
        raise
    except DrmgrError as error:
        # what waits is shipped even when no more comes
        return error


def _unwritten(spool: Path, error: OSError) -> DrmgrError:
    if error.errno == errno.ENOSPC:
        return SpoolFullError(
            f"the disk of the spool {spool} is full",
            hint="make room there; what waits in it is kept until it is stored",
        )
    return PreflightError(f"the spool {spool} cannot be written: {error.strerror}")


def _store_all(wired: WiredSystem, source: Source, logs: LogShipper, spool: Spool) -> list[LogBatch]:
    stored = []
    folder = logs.files(spool.path)
    try:
        for batch in logs.waiting(spool.path):
            _store(wired.repository, wired.system.id, source.name, batch, folder)
            stored.append(batch)
    except OSError as error:
        raise _unwritten(spool.path, error) from error
    except RepositoryError as error:
        held = spooled(spool.path)
        if held <= spool.limit:
            raise
        raise SpoolFullError(
            f"{held} bytes of log wait in {spool.path}, more than {spool.limit}, and cannot be stored: {error.message}"
        ) from error
    return stored


def _store(repository: Repository, system: str, source: str, batch: LogBatch, folder: Path) -> None:
    # not RFC 8785: that has no form for a log position beyond 2**53, and those of SQL Server are
    content = json.dumps(manifest_json(batch), sort_keys=True, separators=(",", ":"), allow_nan=False)
    (folder / MANIFEST).write_bytes(content.encode())
    names = tuple(file.name for file in batch.files)
    tree = Tree("wal", folder, only=(MANIFEST, *names))
    snapshot = repository.backup(tree, log_tags(system, source, batch), lambda _share, _word: None)
    found = {entry.path: entry.size for entry in repository.entries(snapshot.id)}
    found.pop(MANIFEST, None)
    if not snapshot.complete or found != {file.name: file.size for file in batch.files}:
        raise RepositoryError("what was stored of the log is not what was to be stored")
    for name in (MANIFEST, *names):
        (folder / name).unlink()


def spooled(path: Path) -> int:
    """Bytes that lie in a spool."""
    return sum(file.stat().st_size for file in path.rglob("*") if file.is_file()) if path.is_dir() else 0
