"""Keeps every object that recovery points need locked, before its lock runs out; restic never extends a lock."""

from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Final

from drmgr.errors import RepositoryError
from drmgr.flows.bench import Bench, recorded
from drmgr.flows.points import find
from drmgr.interfaces import Objects, PointMemory, Progress, Repository
from drmgr.model import Json, ObjectKind, Retention, RunKind, Stored, Version
from drmgr.system.parallel import in_parallel

WORKERS: Final = 16
EXAMPLES: Final = 10
NOT_NEEDED: Final = {ObjectKind.LOCKS, ObjectKind.OTHER}


@dataclass(frozen=True)
class Wish:
    """Locks that end within ``floor`` are extended to ``days`` from now. ``dry_run``: only tell."""

    days: timedelta
    floor: timedelta
    dry_run: bool = False


@dataclass
class Tally:
    """What was found and done; bytes beside each count of objects. ``until``: the first of all locks to end."""

    objects: int = 0
    bytes: int = 0
    extended: int = 0
    extended_bytes: int = 0
    unlocked: int = 0
    overwritten: int = 0
    lost: int = 0
    held_beneath: int = 0
    until: datetime | None = None
    examples: list[str] = field(default_factory=list)

    def alarm(self, key: str, what: str) -> None:
        if len(self.examples) < EXAMPLES:
            self.examples.append(f"{key}: {what}")

    def to_json(self) -> dict[str, Json]:
        """The counts as records and answers show them."""
        return {
            "objects": self.objects,
            "bytes": self.bytes,
            "extended": self.extended,
            "extended_bytes": self.extended_bytes,
            "unlocked": self.unlocked,
            "overwritten": self.overwritten,
            "lost": self.lost,
            "held_beneath": self.held_beneath,
            "examples": list(self.examples),
        }


@dataclass(frozen=True)
class Protected:
    """``began`` is by the store's clock. ``problems`` are alarms in words; without any the repository is safe.

    ``copy`` is the place's name, empty for the system's own repository.
    """

    run: str
    system: str
    began: datetime
    tally: Tally
    problems: tuple[str, ...]
    copy: str = ""


@dataclass(frozen=True)
class _Held:
    """One version that is needed: its lock before and after."""

    version: Version
    before: Retention | None
    after: datetime | None


@dataclass(frozen=True)
class _Looked:
    """One key. ``wrong`` tells what was done to it; ``lost``: no version holds what its name promises."""

    stored: Stored
    held: tuple[_Held, ...]
    overwritten: bool = False
    lost: bool = False


@dataclass(frozen=True)
class Guarded:
    """A repository whose objects are locked: the system's own, or that of the named copy. ``memory`` knows its points."""

    repository: Repository
    objects: Objects
    memory: PointMemory
    copy: str = ""


def protect(bench: Bench, system: str, place: Guarded, wish: Wish) -> Protected:
    """Extends what must be extended, then looks whether the repository still holds together.

    If it does not, somebody took objects away: then every version of every key is held, so that a rewind finds it.
    Raises RepositoryError; what was extended by then stays extended, and the next call goes on from there.
    """
    kind, objects = RunKind.PROTECT, place.objects
    lock = f"protect-{place.copy}-{system}" if place.copy else f"protect-{system}"
    with recorded(bench, kind, system) as record, bench.locks.hold(lock):
        record.detail.update(copy=place.copy, dry_run=wish.dry_run)
        began, tally = objects.now(), Tally()
        keeper = _Keeper(objects, wish, began, bench.progress(system))
        keeper.run(tally, beneath=False)
        problems = [*_alarms(tally), *_unsound(system, place)]
        if not tally.objects:
            problems.append("there is no object to protect")
        if problems:
            keeper.run(tally, beneath=True)
        record.detail.update(tally.to_json(), problems=problems)
        return Protected(record.run.id, system, began, tally, tuple(problems), place.copy)


def protect_records(bench: Bench, folder: str, objects: Objects, wish: Wish) -> Protected:
    """As ``protect`` for what drmgr itself keeps beside the repositories and never takes away: every version is held.

    Raises RepositoryError.
    """
    with recorded(bench, RunKind.PROTECT, folder) as record, bench.locks.hold(f"protect-{folder}"):
        began, tally = objects.now(), Tally()
        keeper = _Keeper(objects, wish, began, bench.progress(folder))
        for looked in in_parallel(keeper.look_beneath, objects.all(), WORKERS):
            _count(tally, looked, began)
        problems = tuple(_alarms(tally))
        record.detail.update(tally.to_json(), problems=list(problems), dry_run=wish.dry_run)
        return Protected(record.run.id, folder, began, tally, problems)


def _alarms(tally: Tally) -> Iterator[str]:
    if tally.unlocked:
        yield f"{tally.unlocked} objects had no lock, or one that had run out"
    if tally.overwritten:
        yield f"{tally.overwritten} objects were overwritten with something else; their good versions are held"
    if tally.lost:
        yield f"{tally.lost} objects were overwritten, and no version of them is good"


def _unsound(system: str, place: Guarded) -> Iterator[str]:
    try:
        yield from find(place.repository, place.memory, system).problems
        report = place.repository.check(0.0)
    except RepositoryError as error:
        yield error.message
        return
    if not report.ok:
        of = f" --copy {place.copy}" if place.copy else ""
        yield f"the repository is damaged: {report.errors} errors; see: drmgr repo check {system}{of}"


class _Keeper:
    """Walks over all keys, in parallel. ``beneath``: also what was deleted or overwritten."""

    def __init__(self, objects: Objects, wish: Wish, began: datetime, progress: Progress) -> None:
        self._objects = objects
        self._wish = wish
        self._began = began
        self._progress = progress

    def run(self, tally: Tally, *, beneath: bool) -> None:
        work = self.look_beneath if beneath else self._look
        for number, looked in enumerate(in_parallel(work, self._objects.all(), WORKERS)):
            if beneath:
                tally.held_beneath += sum(held.after is not None for held in looked.held)
            else:
                _count(tally, looked, self._began)
            if number % 50 == 0:
                # how many there will be is not known: the bar tells how many there were
                self._progress(0.0, f"{number} objects")

    def _look(self, stored: Stored) -> _Looked:
        if stored.kind in NOT_NEEDED or stored.current is None:
            return _Looked(stored, ())
        contents, digest = stored.contents, stored.digest
        if len(contents) == 1 or digest is None:
            return _Looked(stored, tuple(map(self._hold, contents)))
        good = next((version for version in contents if self._objects.proves(version, digest)), None)
        if good is None:
            return _Looked(stored, tuple(map(self._hold, contents)), lost=True)
        return _Looked(stored, (self._hold(good),), overwritten=good is not contents[0])

    def look_beneath(self, stored: Stored) -> _Looked:
        """Holds every content that the key ever had."""
        kept = () if stored.kind is ObjectKind.LOCKS else stored.contents
        return _Looked(stored, tuple(map(self._hold, kept)))

    def _hold(self, version: Version) -> _Held:
        before = self._objects.retention(version)
        if before is not None and before.until >= self._began + self._wish.floor:
            return _Held(version, before, None)
        if self._wish.dry_run:
            return _Held(version, before, self._began + self._wish.days)
        return _Held(version, before, self._objects.retain(version, self._began + self._wish.days, before))


def _count(tally: Tally, looked: _Looked, now: datetime) -> None:
    for held in looked.held:
        tally.objects += 1
        tally.bytes += held.version.size
        if held.after is not None:
            tally.extended += 1
            tally.extended_bytes += held.version.size
        if held.before is None or held.before.until <= now:
            tally.unlocked += 1
            tally.alarm(looked.stored.key, "was not locked")
        until = held.after or (held.before.until if held.before else None)
        if until is not None:
            tally.until = until if tally.until is None else min(tally.until, until)
    if looked.overwritten:
        tally.overwritten += 1
        tally.alarm(looked.stored.key, "was overwritten")
    if looked.lost:
        tally.lost += 1
        tally.alarm(looked.stored.key, "has no good version")
