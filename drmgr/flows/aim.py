"""From an instant that is asked for to the recovery point, and the logs, that lead to it."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from zoneinfo import ZoneInfo

from drmgr.errors import PointNotFoundError, RepositoryDamagedError, UsageError
from drmgr.flows.bench import WiredSystem
from drmgr.flows.points import SealedPoint, choose
from drmgr.flows.reach import LEAST, current, reach_of, windows
from drmgr.flows.shipped import MANIFEST, LogRange, log_ranges
from drmgr.interfaces import LogShipper, Repository
from drmgr.model import Instance, Member, Objectives, PointStatus, RecoveryPoint, RecoveryTarget, Restored

NEWEST = "newest"
"""In place of a time: the last one that the shipped logs reach."""


@dataclass(frozen=True)
class Replay:
    """What brings one source from its recovery point to the target."""

    target: RecoveryTarget
    ranges: tuple[LogRange, ...]


@dataclass(frozen=True)
class Aim:
    """A recovery point, and how to get from it to the instant that was asked for.

    ``instant`` is that instant when it is a time; None for the point's own, and for one that has another name.
    """

    point: RecoveryPoint
    replays: dict[str, Replay]
    instant: datetime | None = None

    def restored(self, instances: Mapping[str, Instance], objectives: Objectives) -> Restored:
        """What came back, and which instant its checks may hold it to."""
        ranges = (each for replay in self.replays.values() for each in replay.ranges)
        ends = max((each.until for each in ranges if each.until is not None), default=None)
        # a position or a name has no time of its own: not later than the log that it was found in
        return Restored(self.point, instances, objectives, self.instant, ends if self.instant is None else None)


def aim(wired: WiredSystem, points: Sequence[SealedPoint], at: str, sources: Sequence[str], timezone: str) -> Aim:
    """The newest recovery point from which ``at`` can be reached for every named source.

    Raises PointNotFoundError naming the nearest times that can be reached, or for a time that the source's clock showed
    twice; UsageError for sources without logs.
    """
    complete = [sealed for sealed in points if sealed.point.status is PointStatus.COMPLETE]
    system = wired.system.id
    shipped = {name: log_ranges(wired.repository, system, name) for name in sources}
    targets = {name: _target(wired, name, at, timezone, shipped[name]) for name in sources}
    for sealed in reversed(complete):
        replays = {name: _replay(sealed.point, shipped[name], name, targets[name]) for name in sources}
        if all(replays.values()):
            found = {name: replay for name, replay in replays.items() if replay is not None}
            return Aim(sealed.point, found, _common_instant(found))
    raise _out_of_reach(complete, shipped, at, timezone)


def newest(wired: WiredSystem, points: Sequence[SealedPoint], before: datetime, sources: Sequence[str] = ()) -> Aim:
    """The last instant that all named sources can be brought to from one of the points, by what was shipped ``before``.

    From the newest complete one, and of those of them that stand in what the sources are now. All sources of the system
    when none is named. The point itself when nothing was shipped after it. Raises UsageError for sources that have no
    logs or that the job does not declare, PointNotFoundError without a complete point, or when the clock was set back
    and has not come to where it was.
    """
    ranges: dict[str, tuple[LogRange, ...]] = {}
    for source in [wired.source(name) for name in sources] or wired.sources:
        if source.logs is None:
            raise _without_logs(source.name)
        shipped = log_ranges(wired.repository, wired.system.id, source.name)
        ranges[source.name] = tuple(each for each in shipped if each.snapshot.time <= before)
    sealed = points[0] if len(points) == 1 else choose(current(points, ranges), wired.system.id, "latest")
    reached = [reach_of(sealed.point, ranges[name], name) for name in ranges]
    found = [each for each in reached if each is not None and each.ranges]
    if not found or len(found) < len(ranges):
        return Aim(sealed.point, {})
    instant = min(each.until for each in found) - LEAST
    target = RecoveryTarget("time", instant.isoformat())
    if not all(each.holds(target) for each in found):
        return Aim(sealed.point, {})
    for each in found:
        if each.twice(target):
            raise _meant_twice(each.member.source, target)
    replays = {each.member.source: Replay(target, each.needed(target)) for each in found}
    return Aim(sealed.point, replays, instant)


def before(system: str, points: Sequence[SealedPoint], at: str, timezone: str) -> tuple[Aim, datetime]:
    """For a system that cannot go on: its newest recovery point in which nothing is later than ``at``, and that instant.

    Raises PointNotFoundError where there is no earlier one, UsageError for what is no time.
    """
    instant = _time(at, timezone)
    if instant is None:
        raise UsageError(
            f"{at} is no time, and not every source of {system} ships logs in which it could be found",
            hint="name a time, or leave the system out of this drill",
        )
    complete = [sealed.point for sealed in points if sealed.point.status is PointStatus.COMPLETE]
    for point in reversed(complete):
        if all(_nothing_after(member) <= instant for member in point.members):
            return Aim(point, {}), instant
    raise PointNotFoundError(
        f"not every source of {system} ships logs, and it has no recovery point that is not later than {at}",
        hint="choose a later time, or leave the system out of this drill",
    )


def _nothing_after(member: Member) -> datetime:
    return max(member.consistent_at, member.facts.taken_at, *filter(None, [member.seen_until]))


def ships_logs(wired: WiredSystem) -> bool:
    """Whether every source of the system can go on from a recovery point."""
    return all(source.logs is not None for source in wired.sources)


def _common_instant(replays: dict[str, Replay]) -> datetime | None:
    times = [datetime.fromisoformat(each.target.value) for each in replays.values() if each.target.kind == "time"]
    return min(times) if times and len(times) == len(replays) else None


def _without_logs(source: str) -> UsageError:
    return UsageError(
        f"{source} has no logs, so it cannot go to an instant of its own", hint="choose others with --source NAME"
    )


def _meant_twice(source: str, target: RecoveryTarget) -> PointNotFoundError:
    return PointNotFoundError(
        f"the clock of {source} was set back, and showed {target.value} twice: nobody can tell which one is meant",
        hint="name a position in the log instead of a time, or a time outside; a new recovery point ends the doubt",
    )


def _replay(point: RecoveryPoint, ranges: Sequence[LogRange], source: str, targets: "_Targets") -> Replay | None:
    reached = reach_of(point, ranges, source)
    if reached is None:
        return None
    for_search = targets.search
    if reached.member.facts.groups["recovery"]["restore_point"] == targets.replay.value:
        return Replay(targets.replay, ())
    if not reached.holds(for_search):
        return None
    if reached.twice(for_search):
        raise _meant_twice(source, for_search)
    return Replay(targets.replay, reached.needed(for_search))


@dataclass(frozen=True)
class _Targets:
    """What the server is to stop at, and where to look for it: a name is looked for by its position."""

    replay: RecoveryTarget
    search: RecoveryTarget


def _target(wired: WiredSystem, source: str, at: str, timezone: str, ranges: Sequence[LogRange]) -> _Targets:
    logs: LogShipper | None = wired.source(source).logs
    if logs is None:
        raise _without_logs(source)
    position = logs.position(at)
    if position is not None:
        return _Targets(
            RecoveryTarget("position", logs.position_text(position)), RecoveryTarget("position", str(position))
        )
    instant = _time(at, timezone)
    if instant is None:
        named = RecoveryTarget("name", at)
        return _Targets(named, RecoveryTarget("position", str(_position_of(wired.repository, logs, at, ranges))))
    whole = RecoveryTarget("time", instant.isoformat())
    return _Targets(whole, whole)


def _time(at: str, timezone: str) -> datetime | None:
    """None for what is no time; one without an offset is the site's own."""
    try:
        instant = datetime.fromisoformat(at)
    except ValueError:
        return None
    return instant if instant.tzinfo is not None else instant.replace(tzinfo=ZoneInfo(timezone))


def _position_of(repository: Repository, logs: LogShipper, name: str, ranges: Sequence[LogRange]) -> int:
    """Where the instant of that name lies, or -1. The newest one: names may be used again."""
    for each in reversed(ranges):
        try:
            marks = json.loads(repository.read_bytes(each.snapshot.id, MANIFEST))["marks"]
        except (ValueError, KeyError) as error:
            raise RepositoryDamagedError(f"the manifest of snapshot {each.snapshot.id[:8]} cannot be read") from error
        position = logs.locate(name, marks)
        if position is not None:
            return position
    return -1


def _out_of_reach(
    points: Sequence[SealedPoint], shipped: dict[str, tuple[LogRange, ...]], at: str, timezone: str
) -> PointNotFoundError:
    zone = ZoneInfo(timezone)
    told = []
    for source, ranges in shipped.items():
        for window in windows(points, ranges, source):
            since, newest = (each.astimezone(zone).isoformat() for each in (window.since, window.newest))
            told.append(f"{source} from {since} to {newest}")
    nothing = "no log was shipped" if points else "there is no complete recovery point"
    if points and any(shipped.values()):
        nothing = "no recovery point is followed by what was shipped"
    reachable = "; ".join(told) or f"no time at all: {nothing}"
    return PointNotFoundError(f"{at} cannot be reached; what can be: {reachable}")
