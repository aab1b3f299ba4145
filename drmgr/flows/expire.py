"""Expiring recovery points: planned in words first, then the seals, then what they sealed; space is freed apart."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from zoneinfo import ZoneInfo

from drmgr.errors import ExpireRefusedError, RepositoryDamagedError
from drmgr.flows.acceptance import doubted
from drmgr.flows.bench import Bench, recorded
from drmgr.flows.copying import Standing, is_log
from drmgr.flows.points import Found, SealedPoint, find, point_of, snapshots_of
from drmgr.flows.retention import Reasons, Rules, kept_by_rules
from drmgr.interfaces import CareBook, CaredRepository, PointMemory
from drmgr.model import PointStatus, RunKind, RunStatus, Snapshot, System

GRACE = timedelta(days=1)
"""How long snapshots without a seal are left alone: a backup that is under way has none yet."""

LOG_MARGIN = timedelta(days=1)
"""A log says until when it goes by the clock of its source, which may be wrong."""

Doubts = Callable[[Found], Mapping[str, str]]
"""Which points are suspicious and not accepted by a person, by their seals, and why."""


@dataclass(frozen=True)
class Place:
    """A repository whose points expire: the system's own (``name`` empty), or one of its copies.

    ``copies`` tells what each copy of it holds; None for one that cannot be asked.
    """

    name: str
    system: System
    repository: CaredRepository
    memory: PointMemory
    copies: Callable[[], Mapping[str, Standing | None]] = dict
    doubts: Doubts = doubted


@dataclass(frozen=True)
class ExpirePlan:
    """What would stay and why, and what would go. ``leftovers`` are snapshots of backups that never ended."""

    kept: tuple[tuple[SealedPoint, tuple[str, ...]], ...]
    expiring: tuple[SealedPoint, ...]
    leftovers: tuple[Snapshot, ...]
    logs: tuple[Snapshot, ...]

    @property
    def nothing(self) -> bool:
        return not (self.expiring or self.leftovers or self.logs)


@dataclass(frozen=True)
class Expired:
    run: str
    system: str
    plan: ExpirePlan
    pruned: bool


def plan_expire(bench: Bench, place: Place, rules: Rules) -> ExpirePlan:
    """What ``expire`` would do. Raises ExpireRefusedError when nothing may expire now, RepositoryError."""
    found = find(place.repository, place.memory, place.system.id)
    _refuse_problems(place, found)
    doubts = place.doubts(found)
    _refuse_doubts(place, found, doubts)
    now, zone = bench.clock.now(), ZoneInfo(bench.timezone)
    reasons = _all_reasons(bench, place, found, doubts, kept_by_rules(found.points, rules, now, zone))
    kept = tuple((sealed, reasons[sealed.seal]) for sealed in found.points if sealed.seal in reasons)
    expiring = tuple(sealed for sealed in found.points if sealed.seal not in reasons)
    return ExpirePlan(
        kept, expiring, _leftovers(found, now), _logs(found, [sealed for sealed, _ in kept], now - rules.logs)
    )


def expire(bench: Bench, book: CareBook, place: Place, rules: Rules, *, prune: bool) -> Expired:
    """Takes away what no rule keeps; with ``prune`` then frees the space.

    A point's seal goes first, so that none is ever offered in part; a run that was ended in the middle is finished by the
    next. Afterwards every point that was to stay is proven to be there still. Raises LockedError, ExpireRefusedError,
    RepositoryError.
    """
    system = place.system.id
    with recorded(bench, RunKind.EXPIRE, system) as run, bench.locks.hold(f"system-{system}"):
        plan = plan_expire(bench, place, rules)
        run.detail.update(
            place=place.name,
            expired=[sealed.point.id for sealed in plan.expiring],
            kept=len(plan.kept),
            leftovers=len(plan.leftovers),
            logs=len(plan.logs),
            pruned=prune,
        )
        if not plan.nothing:
            _take_away(book, place, plan)
            _prove_kept(place, plan)
        if prune:
            place.repository.prune()
            _prove_sound(place)
            _prove_kept(place, plan)
        run.status = RunStatus.OK
        return Expired(run.run.id, system, plan, prune)


def _refuse_problems(place: Place, found: Found) -> None:
    if found.problems:
        raise ExpireRefusedError(
            f"nothing of {place.system.id} expires while its repository has problems: {found.problems[0]}",
            hint="look with: drmgr repo check, and mend what it names",
        )


def _refuse_doubts(place: Place, found: Found, doubts: Mapping[str, str]) -> None:
    newest = found.points[-1] if found.points else None
    if newest is not None and newest.seal in doubts:
        raise ExpireRefusedError(
            f"nothing of {place.system.id} expires while its newest point {newest.point.id} is suspicious: "
            f"{doubts[newest.seal]}",
            hint=f"look at the system; if all is well: drmgr points {place.system.id} --accept {newest.point.id} --reason TEXT",
        )


def _all_reasons(bench: Bench, place: Place, found: Found, doubts: Mapping[str, str], ruled: Reasons) -> Reasons:
    reasons: dict[str, tuple[str, ...]] = dict(ruled)
    more = [_last_good(found, doubts), *_last_proven(bench, place, found), *_not_copied(place, found)]
    for seal, words in more:
        reasons[seal] = (*reasons.get(seal, ()), words)
    return reasons


def _last_good(found: Found, doubts: Mapping[str, str]) -> tuple[str, str]:
    good = [each for each in found.points if each.point.status is PointStatus.COMPLETE and each.seal not in doubts]
    if good:
        return good[-1].seal, "the last good point"
    return (found.points[-1].seal if found.points else ""), "the last point, and none is good"


def _last_proven(bench: Bench, place: Place, found: Found) -> Iterator[tuple[str, str]]:
    proven, drilled = _proven_and_drilled(bench, place.system.id)
    for sealed in found.points:
        if sealed.point.id == proven:
            yield sealed.seal, "the last point that a drill or restore proved"
        elif sealed.point.id == drilled:
            yield sealed.seal, "the last point that was drilled"


def _not_copied(place: Place, found: Found) -> Iterator[tuple[str, str]]:
    for name, held in place.copies().items():
        there = None if held is None else {sealed.seal for sealed in held.points}
        for sealed in found.points:
            if there is None:
                yield sealed.seal, f"the copy {name} cannot be asked"
            elif sealed.seal not in there:
                yield sealed.seal, f"not in the copy {name} yet"


def _proven_and_drilled(bench: Bench, system: str) -> tuple[str | None, str | None]:
    """The ids of the point that was last brought back and proven, and of that last drilled, however it went."""
    drilled: str | None = None
    for run in bench.catalog.runs():
        point = None
        if run.kind is RunKind.DRILL:
            point = dict(run.detail.get("points") or {}).get(system)
            drilled = drilled or point
        elif run.kind is RunKind.RESTORE and run.system == system:
            point = run.detail.get("point")
        if point and run.status is RunStatus.OK:
            return point, drilled
    return None, drilled


def _leftovers(found: Found, now: datetime) -> tuple[Snapshot, ...]:
    """Snapshots that name a point which no seal made one. What is unreadable was refused before."""
    sealed = {each.point.id for each in found.points}
    return tuple(
        snapshot
        for snapshot in found.snapshots
        if point_of(snapshot) and point_of(snapshot) not in sealed and now - (snapshot.ended or snapshot.time) > GRACE
    )


def _logs(found: Found, kept: Sequence[SealedPoint], horizon: datetime) -> tuple[Snapshot, ...]:
    """Logs that end before the point from which the horizon is reached, and so are followed by no replay."""
    complete = [sealed.point.consistent_at for sealed in kept if sealed.point.status is PointStatus.COMPLETE]
    if not complete:
        return ()
    base = max((instant for instant in complete if instant <= horizon), default=min(complete))
    return tuple(each for each in found.snapshots if is_log(each) and _log_end(each) < base - LOG_MARGIN)


def _log_end(snapshot: Snapshot) -> datetime:
    for tag in snapshot.tags:
        if tag.startswith("until="):
            return max(datetime.fromisoformat(tag.removeprefix("until=")), snapshot.time)
    return snapshot.time


def _take_away(book: CareBook, place: Place, plan: ExpirePlan) -> None:
    book.expire(place.name, place.system.id, {sealed.seal: sealed.point.id for sealed in plan.expiring})
    staying = {snapshot for sealed, _ in plan.kept for snapshot in snapshots_of(sealed)}
    seals = [sealed.seal for sealed in plan.expiring]
    parts = [each for sealed in plan.expiring for each in snapshots_of(sealed) if each != sealed.seal]
    parts += [snapshot.id for snapshot in (*plan.leftovers, *plan.logs)]
    for some in (seals, parts):
        if going := [snapshot for snapshot in some if snapshot not in staying]:
            place.repository.forget(going)


def _prove_kept(place: Place, plan: ExpirePlan) -> None:
    after = find(place.repository, place.memory, place.system.id)
    there = {sealed.seal for sealed in after.points}
    lost = [sealed.point.id for sealed, _ in plan.kept if sealed.seal not in there]
    left = [sealed.point.id for sealed in plan.expiring if sealed.seal in there]
    if lost or left or after.problems:
        what = (
            after.problems[0]
            if after.problems
            else f"{len(lost)} points that were to stay are gone, {len(left)} others not"
        )
        raise RepositoryDamagedError(f"expire of {place.system.id}: {what}")


def _prove_sound(place: Place) -> None:
    report = place.repository.check(0.0)
    if not report.ok:
        raise RepositoryDamagedError(f"after the prune of {place.system.id} its repository has {report.errors} errors")
