"""Reading stored data back: all of it within a period, damage told by the recovery points it touches, repair from a copy."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from drmgr.errors import DrmgrError, RepositoryDamagedError, RepositoryError
from drmgr.flows.bench import Bench, recorded
from drmgr.flows.copying import Copy
from drmgr.flows.expire import Place
from drmgr.flows.points import Found, SealedPoint, find, snapshots_of
from drmgr.interfaces import CareBook
from drmgr.model import CheckReport, Readback, RunKind, RunStatus
from drmgr.system.clock import rfc3339

MOST_GROUPS = 256
"""restic tells the groups of its packs by one byte of their names."""

BEGUN = 0
"""The number of the note that says when the reading was begun."""


@dataclass(frozen=True)
class Coverage:
    """What was read back so far: all data stored before ``since`` were read at ``since`` or later; None: not all yet."""

    groups: int
    read: int
    since: datetime | None
    period: timedelta
    within: bool


@dataclass(frozen=True)
class Looked:
    """What looking through a repository found. ``points`` are those that are damaged, or may be; ``reports`` by group."""

    run: str
    reports: tuple[CheckReport, ...]
    packs: tuple[str, ...]
    points: tuple[str, ...]
    problems: tuple[str, ...]
    coverage: Coverage | None = None
    repaired: tuple[str, ...] = ()

    @property
    def ok(self) -> bool:
        return all(report.ok for report in self.reports) and not self.problems

    @property
    def errors(self) -> int:
        return sum(report.errors for report in self.reports) + len(self.problems)


def groups_of(period: timedelta) -> int:
    """One group a day, so that a look each day reads each group once in the period."""
    return min(MOST_GROUPS, max(1, period.days))


def due(read: Mapping[int, Readback], groups: int, now: datetime, period: timedelta) -> list[int]:
    """The groups to read now, so that none becomes older than the period by the next day's look."""
    slot = period / groups
    begun = read[BEGUN].at if BEGUN in read else now
    chosen = []
    for number in range(1, groups + 1):
        last = read.get(number)
        if last is not None and last.at > now + slot:
            # read in the future: this or that clock was wrong, and it is not to be relied on
            last = None
        deadline = begun + slot * number if last is None else last.at + period
        if (last is not None and not last.sound) or deadline - slot <= now:
            chosen.append(number)
    return chosen


def coverage(read: Mapping[int, Readback], groups: int, now: datetime, period: timedelta) -> Coverage:
    """What the notes prove."""
    sound = [read[number].at for number in range(1, groups + 1) if number in read and read[number].sound]
    usable = [at for at in sound if at <= now + timedelta(days=1)]
    fresh = [at for at in usable if now - at <= period]
    since = min(usable) if len(usable) == groups else None
    return Coverage(groups, len(fresh), since, period, len(fresh) == groups)


def look(bench: Bench, place: Place, share: float) -> Looked:
    """Structure, the share of the data, and whether every point is whole. Raises RepositoryError if it cannot be looked at."""
    with recorded(bench, RunKind.REPO_CHECK, place.system.id) as run:
        run.detail.update(place=place.name, share=share)
        found = _found(place)
        report = place.repository.check(share)
        looked = _looked(place, run.run.id, found, (report,))
        run.detail.update(errors=looked.errors, points=list(looked.points))
        run.status = RunStatus.OK if looked.ok else RunStatus.FAILED
        return looked


def rotate(bench: Bench, book: CareBook, place: Place, period: timedelta) -> Looked:
    """Reads the groups whose turn it is; by daily calls all data are read within the period, and that is proven."""
    groups, system = groups_of(period), place.system.id
    with recorded(bench, RunKind.REPO_CHECK, system) as run, bench.locks.hold(f"check-{place.name}-{system}"):
        run.detail.update(place=place.name, groups=groups)
        now = bench.clock.now()
        read = dict(book.readbacks(place.name, system, groups))
        if BEGUN not in read:
            book.remember_readback(place.name, system, groups, BEGUN, Readback(now, True))
        found = _found(place)
        reports = []
        for number in due(read, groups, now, period):
            # by its beginning: what is stored while it is read may have come too late for it
            began = bench.clock.now()
            report = place.repository.check_group(number, groups)
            book.remember_readback(place.name, system, groups, number, Readback(began, report.ok))
            reports.append(report)
        if not reports:
            reports.append(place.repository.check(0.0))
        told = coverage(book.readbacks(place.name, system, groups), groups, bench.clock.now(), period)
        looked = _looked(place, run.run.id, found, tuple(reports), told)
        run.detail.update(read=told.read, errors=looked.errors, points=list(looked.points))
        if told.since is not None:
            run.detail.update(all_read_since=rfc3339(told.since))
        run.status = RunStatus.OK if looked.ok else RunStatus.FAILED
        return looked


def repair(bench: Bench, place: Place, source: Copy) -> Looked:
    """Takes out what is broken and brings it from a copy, then reads everything once more: only that is a repair.

    What the copy does not have either is named. Raises RepositoryDamagedError when damage is left, LockedError.
    """
    system = place.system.id
    with recorded(bench, RunKind.REPO_CHECK, system) as run, bench.locks.hold(f"system-{system}"):
        run.detail.update(place=place.name, share=1.0, repaired_from=source.name)
        before = _look_all(place, run.run.id)
        if before.ok:
            return before
        there = {snapshot.id for snapshot in find(source.repository, source.memory, system).snapshots}
        touched = _touched(place, before.packs)
        here = place.repository.snapshots()
        lost = _remembered(place) - {snapshot.id for snapshot in here.snapshots}
        place.repository.drop_broken(before.packs, here.damaged)
        wanted = sorted((touched | lost | set(here.damaged) | _members_lost(place, source)) & there)
        place.repository.replace(source.repository, wanted, bench.progress(f"{system} from {source.name}"))
        after = _look_all(place, run.run.id)
        run.detail.update(errors=after.errors, points=list(after.points), brought=len(wanted))
        if not after.ok:
            raise RepositoryDamagedError(
                f"{system} is not whole after the repair: {_first(after)}",
                hint="what no copy has cannot be brought back; take a new backup, and keep this repository for study",
            )
        return Looked(run.run.id, after.reports, before.packs, before.points, (), repaired=before.points)


def _look_all(place: Place, run: str) -> Looked:
    found = _found(place)
    return _looked(place, run, found, (place.repository.check(1.0),))


def _found(place: Place) -> Found:
    return find(place.repository, place.memory, place.system.id)


def _looked(
    place: Place, run: str, found: Found, reports: tuple[CheckReport, ...], told: Coverage | None = None
) -> Looked:
    packs = tuple(sorted({pack for report in reports for pack in report.broken_packs}))
    wrong = any(not report.ok for report in reports)
    points = _points_touched(place, found, packs) if wrong else set()
    points |= {point for point in place.memory.seals(place.system.id).values() if _lost(found, point)}
    return Looked(run, reports, packs, tuple(sorted(points)), found.problems, told)


def _lost(found: Found, point: str) -> bool:
    return all(sealed.point.id != point for sealed in found.points)


def _points_touched(place: Place, found: Found, packs: Sequence[str]) -> set[str]:
    """All points, where it cannot be told which of them."""
    every = {sealed.point.id for sealed in found.points}
    if not packs:
        return every
    try:
        touched = place.repository.touched_by(packs)
    except RepositoryError:
        return every
    return {sealed.point.id for sealed in found.points if _needs(sealed, touched)}


def _needs(sealed: SealedPoint, snapshots: frozenset[str]) -> bool:
    return not snapshots.isdisjoint(snapshots_of(sealed))


def _touched(place: Place, packs: Sequence[str]) -> set[str]:
    """The snapshots that need them; where that cannot be told, all there are."""
    try:
        return set(place.repository.touched_by(packs)) if packs else set()
    except RepositoryError:
        return _all_here(place)


def _all_here(place: Place) -> set[str]:
    return {snapshot.id for snapshot in place.repository.snapshots().snapshots}


def _remembered(place: Place) -> set[str]:
    """All that the points which should be there are made of."""
    seals = place.memory.seals(place.system.id)
    points = {seal: place.memory.point(seal) for seal in seals}
    return {
        each
        for seal, point in points.items()
        for each in (snapshots_of(SealedPoint(point, seal)) if point is not None else (seal,))
    }


def _members_lost(place: Place, source: Copy) -> set[str]:
    """What points of the copy are made of that the catalog does not remember either, but whose seal is here."""
    here = _all_here(place)
    held = find(source.repository, source.memory, place.system.id).points
    return {each for sealed in held if sealed.seal in here for each in snapshots_of(sealed) if each not in here}


def _first(looked: Looked) -> str:
    if looked.problems:
        return looked.problems[0]
    return f"{looked.errors} errors, recovery points {', '.join(looked.points) or 'none'}"


def fault_of(system: str, looked: Looked) -> DrmgrError | None:
    """What the command has to say of damage."""
    if looked.ok:
        return None
    touched = f"; recovery points that it touches: {', '.join(looked.points)}" if looked.points else ""
    return RepositoryDamagedError(f"the repository of {system} has {looked.errors} errors{touched}")
