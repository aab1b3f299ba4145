"""How far a recovery point's logs reach: only as far as file follows file, without one missing."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from drmgr.flows.points import SealedPoint
from drmgr.flows.shipped import LogRange
from drmgr.model import (
    Member,
    PointStatus,
    RecoveryPoint,
    RecoveryTarget,
)

LEAST = timedelta(microseconds=1)
SKEW = timedelta(seconds=5)
"""By so much the source's clock may be ahead of ours."""

SET_BACK = timedelta(minutes=1)
"""By so much a log may end before the one that it follows and still be of the same clock."""


@dataclass(frozen=True)
class Reach:
    """A member, and the unbroken logs after it. Times from ``since`` to before ``until`` can be restored."""

    member: Member
    ranges: tuple[LogRange, ...]
    since: datetime
    until: datetime
    start: int
    position: int
    holes: tuple[tuple[datetime, datetime], ...] = ()
    """From the first of each up to before the second another history was in use than the one that these logs tell."""

    def holds(self, target: RecoveryTarget) -> bool:
        """Whether a replay gets there; never true of a name, which has to be found first."""
        if target.kind == "time":
            instant = datetime.fromisoformat(target.value)
            return self.since <= instant < self.until and not any(low <= instant < high for low, high in self.holes)
        return target.kind == "position" and self.start <= int(target.value) <= self.position

    def twice(self, target: RecoveryTarget) -> bool:
        """Whether the source's clock showed that time twice after the point, because it was set back in between."""
        if target.kind != "time":
            return False
        instant, high, before = datetime.fromisoformat(target.value), self.since, self.ranges[:1]
        for each in self.ranges:
            if each.until is None:
                continue
            if each.twice is not None:
                if each.twice[0] <= instant < each.twice[1]:
                    return True
                high = max(high, each.twice[1])
            if each.until < high - SET_BACK:
                # how far back it was set nobody tells; not further than this log may have lasted
                low = each.until - (each.snapshot.time - before[0].snapshot.time)
                if low <= instant < high:
                    return True
            high, before = max(high, each.until), (each,)
        return False

    def needed(self, target: RecoveryTarget) -> tuple[LogRange, ...]:
        """The ranges up to the first that goes beyond the target."""
        chosen: list[LogRange] = []
        for each in self.ranges:
            chosen.append(each)
            beyond = (
                each.until is not None and each.until > datetime.fromisoformat(target.value)
                if target.kind == "time"
                else each.position >= int(target.value)
            )
            if beyond:
                break
        return tuple(chosen)


@dataclass(frozen=True)
class Window:
    """Every time from ``since`` to before ``until`` can be restored, and nothing in between is missing.

    A replay stops at the first end of a transaction after the time asked for, so the last one is itself out of reach.
    """

    since: datetime
    until: datetime

    @property
    def newest(self) -> datetime:
        """The last instant that can be restored, to the microsecond."""
        return self.until - LEAST


def reach(member: Member, ranges: Sequence[LogRange]) -> Reach | None:
    """How far the ranges carry this member; None for one that has no log to follow."""
    recovery = member.facts.groups.get("recovery")
    if recovery is None:
        return None
    chain = _chain(member, recovery["system_identifier"], ranges)
    renewed = chain != recovery["system_identifier"]
    timeline, following = recovery["timeline"], recovery["last_log"] + 1
    ranges = [each for each in ranges if each.chain == chain]
    gone_back_from = _gone_back_from(ranges) - {timeline}
    chosen: list[LogRange] = []
    until, position = member.consistent_at, recovery["position"]
    for each in ranges:
        if each.timeline < timeline or each.timeline in gone_back_from:
            continue
        # a log in which nothing happened ends before it begins, and still tells a later time
        empty = each.first == following == each.last + 1
        if each.timeline == timeline and each.last < following and not empty:
            continue
        if each.first > following:
            # a file is missing, and nothing after it can be reached
            break
        if not chosen and renewed and each.snapshot.time < member.consistent_at - SKEW:
            # the member stands in a file of that number which was not closed yet: this one is of another log
            break
        stop = each.stops(member)
        if stop is not None:
            if recovery["position"] <= stop.first:
                chosen.append(each)
                until, position = max(until, stop.at + LEAST), max(position, stop.first)
            break
        timeline, following = each.timeline, each.last + 1
        chosen.append(each)
        until, position = max(until, each.until or until), max(position, each.position)
    return Reach(
        member,
        tuple(chosen),
        member.consistent_at,
        until,
        recovery["position"],
        position,
        tuple(_holes(member, chosen, ranges)),
    )


def _holes(
    member: Member, chosen: Sequence[LogRange], ranges: Sequence[LogRange]
) -> Iterator[tuple[datetime, datetime]]:
    """Times at which the source was in another history than the one that the chosen logs tell, as far as can be known."""
    timeline, shipped, until = member.facts.groups["recovery"]["timeline"], member.consistent_at, member.consistent_at
    parted: datetime | None = None
    for each in chosen:
        switched = each.timeline != timeline
        if switched or _elsewhere(ranges, shipped, each):
            parted = parted or until
        if parted is not None and each.until is not None:
            yield parted, (each.begun if switched else None) or each.until
            parted = None
        timeline, shipped, until = each.timeline, each.snapshot.time, max(until, each.until or until)


def _elsewhere(ranges: Sequence[LogRange], since: datetime, each: LogRange) -> bool:
    """Whether the source was on another timeline for a while before that range was shipped."""
    return any(x.timeline != each.timeline and since < x.snapshot.time < each.snapshot.time for x in ranges)


def _gone_back_from(ranges: Sequence[LogRange]) -> set[int]:
    """Timelines that the source is no longer on: of an older one something was shipped after all of theirs.

    A restore in place begins such a timeline, and its undoing ends it.
    """
    newest: dict[int, datetime] = {}
    for each in ranges:
        newest[each.timeline] = max(each.snapshot.time, newest.get(each.timeline, each.snapshot.time))
    return {one for one, last in newest.items() if any(other < one and newest[other] > last for other in newest)}


def _chain(member: Member, identifier: str, ranges: Iterable[LogRange]) -> str:
    """The log that the member stands in.

    A server that has one log for ever names it by its identifier. Where a log can be begun anew, the second of its
    beginning follows after a dash, and the member stands in the newest one that was begun by then.
    """
    prefix = f"{identifier}-"
    beginnings = {each.chain.removeprefix(prefix) for each in ranges if each.chain.startswith(prefix)}
    begun = [int(since) for since in beginnings if since.isdigit() and int(since) <= member.consistent_at.timestamp()]
    return f"{prefix}{max(begun)}" if begun else identifier


def windows(points: Iterable[SealedPoint], ranges: Sequence[LogRange], source: str) -> tuple[Window, ...]:
    """The times that can be restored, oldest first; a missing file parts two windows."""
    found: list[Window] = []
    for sealed in points:
        reached = reach_of(sealed.point, ranges, source)
        for since, until in () if reached is None or not reached.ranges else _pieces(reached):
            if found and since < found[-1].until:
                found[-1] = Window(found[-1].since, max(found[-1].until, until))
            else:
                found.append(Window(since, until))
    return tuple(found)


def _pieces(reached: Reach) -> Iterator[tuple[datetime, datetime]]:
    """Without its holes."""
    since = reached.since
    for low, high in (*reached.holes, (reached.until, reached.until)):
        if since < low:
            yield since, low
        since = max(since, high)


def current(points: Sequence[SealedPoint], ranges: Mapping[str, Sequence[LogRange]]) -> list[SealedPoint]:
    """The complete ones of the history that the source is in now: a restore in place that was undone left others.

    ``ranges`` are those shipped of each source. All of them where none is left.
    """
    complete = [each for each in points if each.point.status is PointStatus.COMPLETE]
    return [each for each in complete if not _left_behind(each.point, ranges)] or complete


def _left_behind(point: RecoveryPoint, ranges: Mapping[str, Sequence[LogRange]]) -> bool:
    for member in point.members:
        recovery = member.facts.groups.get("recovery")
        if recovery is None or member.source not in ranges:
            continue
        chain = _chain(member, recovery["system_identifier"], ranges[member.source])
        if recovery["timeline"] in _gone_back_from([each for each in ranges[member.source] if each.chain == chain]):
            return True
    return False


def follows(point: RecoveryPoint, ranges: Sequence[LogRange], source: str) -> bool:
    """Whether the newest of what was shipped carries the point on, or lies before it."""
    timed = [each for each in ranges if each.until is not None]
    newest = max(timed, key=lambda each: (each.snapshot.time, each.last), default=None)
    if newest is None or newest.until is None:
        return True
    reached = reach_of(point, ranges, source)
    return reached is not None and newest.until <= reached.until


def reach_of(point: RecoveryPoint, ranges: Sequence[LogRange], source: str) -> Reach | None:
    try:
        return reach(point.member(source), ranges)
    except KeyError:
        return None
