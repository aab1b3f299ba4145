"""How far a log carries a recovery point: never past what a replay cannot pass, never along the log of another time."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from drmgr.engines.mariadb.shipper import _since, _State
from drmgr.flows.points import SealedPoint
from drmgr.flows.reach import LEAST, Reach, current, reach, windows
from drmgr.flows.shipped import LogRange, log_ranges, log_tags
from drmgr.model import Barrier, Facts, LogBatch, Member, PointStatus, RecoveryPoint, RecoveryTarget, Snapshot
from tests.support.fake_repository import FakeRepository

BEGUN = datetime(2026, 1, 5, 10, tzinfo=UTC)
SECOND = int(BEGUN.timestamp())


def minutes(number: float) -> datetime:
    return BEGUN + timedelta(minutes=number)


def shipped(chain: str, *numbers: int, at: float = 0) -> tuple[LogRange, ...]:
    """A file every five minutes after ``at``, shipped at once when it was closed."""
    times = [minutes(at + 5 * place) for place in range(1, len(numbers) + 1)]
    return tuple(
        LogRange(Snapshot(f"{chain}{number}", time), chain, 1, number, number, time, number * 1000)
        for number, time in zip(numbers, times, strict=True)
    )


def member(at: float, *, last: int = 0, position: int = 1, engine: str = "mariadb") -> Member:
    recovery = {"system_identifier": "me", "timeline": 1, "last_log": last, "position": position, "restore_point": ""}
    return Member("main", engine, minutes(at), (), Facts(engine, minutes(at), {"recovery": recovery}))


def reached(member: Member, ranges: tuple[LogRange, ...]) -> Reach:
    found = reach(member, ranges)
    assert found is not None
    return found


def point_of(made: Member) -> RecoveryPoint:
    return RecoveryPoint(
        "P", "his", "R", made.consistent_at, made.consistent_at, PointStatus.COMPLETE, (made,), {}, "h"
    )


CHAIN = f"me-{SECOND - 60}"
STOP = Barrier(2300, 2700, minutes(7))


@pytest.mark.parametrize(
    ("engine", "position", "until", "to"),
    [
        ("mariadb", 1, minutes(7) + LEAST, 2300),
        ("mariadb", 2300, minutes(7) + LEAST, 2300),
        # between the first and the last of them nothing is known
        ("mariadb", 2500, minutes(0), 2500),
        ("mariadb", 2700, minutes(15), 3000),
        # the files of the whole server pass it
        ("mariadb-physical", 1, minutes(15), 3000),
    ],
)
def test_what_a_replay_cannot_pass_is_not_offered(engine: str, position: int, until: datetime, to: int) -> None:
    one, two, three = shipped(CHAIN, 1, 2, 3)
    last = 0 if position == 1 else 1
    found = reached(member(0, engine=engine, last=last, position=position), (one, replace(two, barrier=STOP), three))
    assert (found.until, found.position) == (until, to)
    assert found.holds(RecoveryTarget("time", minutes(7).isoformat())) is (until > minutes(7))


def test_the_timeline_of_a_restore_that_was_undone_leads_nowhere() -> None:
    first = shipped("me", 1, 2, 3, 4, 5)
    # restored in place as of the third file, and undone before the fifth was shipped
    undone = tuple(replace(each, timeline=2) for each in shipped("me", 3, 4, at=10.5))
    made = member(0, engine="postgresql-physical")
    found = reached(made, (*first, *undone))
    assert (found.ranges, found.until) == (first, minutes(25))
    # one that is still in use is followed, as after a standby was promoted
    assert reached(made, (*first[:3], *undone)).ranges[-1] == undone[-1]
    # a point of that time goes on along it
    recovery = {**made.facts.groups["recovery"], "timeline": 2, "last_log": 2}
    of_then = replace(made, facts=replace(made.facts, groups={"recovery": recovery}))
    assert reached(of_then, (*first, *undone)).ranges == undone


def test_times_of_another_history_are_not_offered() -> None:
    first = shipped("me", 1, 2, 3)
    # restored in place at minute 20 as of the second file; the first transaction after it ended at minute 21
    second = tuple(replace(each, timeline=2) for each in shipped("me", 3, 4, at=20))
    made = member(0, engine="postgresql-physical")
    told = reached(made, (*first, replace(second[0], begun=minutes(21)), second[1]))
    assert told.holes == ((minutes(15), minutes(21)),)
    within = {at: told.holds(RecoveryTarget("time", minutes(at).isoformat())) for at in (14, 15, 20, 21, 29)}
    assert within == {14: True, 15: False, 20: False, 21: True, 29: True}
    # shipped by an older drmgr: nobody knows when it began
    assert reached(made, (*first, *second)).holes == ((minutes(15), minutes(25)),)
    sealed = SealedPoint(point_of(made), "s")
    assert [(each.since, each.until) for each in windows([sealed], (*first, *second), "main")] == [
        (minutes(0), minutes(15)),
        (minutes(25), minutes(30)),
    ]


def test_points_of_a_restore_that_was_undone_are_not_where_the_newest_instant_is() -> None:
    first = shipped("me", 1, 2, 3, 4, 5, 6)
    undone = tuple(replace(each, timeline=2) for each in shipped("me", 3, at=10.5))
    before = member(0, engine="postgresql-physical")
    recovery = {**before.facts.groups["recovery"], "timeline": 2, "last_log": 2}
    between = replace(before, facts=replace(before.facts, groups={"recovery": recovery}))
    points = [SealedPoint(point_of(each), str(number)) for number, each in enumerate((before, between))]
    assert current(points, {"main": (*first, *undone)}) == points[:1]
    # as long as it is not known to be undone
    assert current(points, {"main": (*first[:3], *undone)}) == points
    # while it was in use the other log stood still
    assert reached(before, (*first, *undone)).holes == ((minutes(15), minutes(20)),)


def test_the_barrier_travels_with_the_logs_tags(tmp_path: Path) -> None:
    repository = FakeRepository(tmp_path)
    repository.init()
    batch = LogBatch(CHAIN, 1, 1, 2, minutes(4), 7, {}, (), barrier=STOP)
    repository.store_bytes("x", b"x", log_tags("his", "main", batch))
    (found,) = log_ranges(repository, "his", "main")
    assert found.barrier == STOP


def test_a_file_that_was_shipped_before_the_point_was_made_is_of_another_log() -> None:
    # restored in place at minute 20, backed up at 22 in the first file of the new log, and undone
    found = reached(member(22), shipped(CHAIN, 1, 2, 3))
    assert (found.ranges, found.until) == ((), minutes(22))
    assert len(reached(member(0), shipped(CHAIN, 1, 2, 3)).ranges) == 3


def test_a_log_that_ends_before_the_point_opens_no_window() -> None:
    made = member(6, last=0)
    # closed at once after it, as the source counts whole seconds
    ranges = (replace(shipped(CHAIN, 1)[0], until=minutes(5.99), snapshot=Snapshot("s", minutes(6.1))),)
    assert windows([SealedPoint(point_of(made), "s")], ranges, "main") == ()


def test_a_chain_begins_anew_when_a_log_that_was_set_aside_is_in_use_again() -> None:
    first = _State("me", 100, 5, {}, 100)
    assert _since(None, 100, follows=False) == 100
    assert _since(first, 200, follows=True) == 100
    # restored in place: the log begins anew at 300
    second = _State("me", _since(first, 300, follows=False), 2, {}, 300)
    assert second.since == 300
    # undone: its third file was opened at 150, and belongs to that time
    third = _State("me", _since(second, 150, follows=False), 3, {}, 300)
    assert third.since == 150
    assert _since(third, 170, follows=True) == 150
    # the first file that the server opened after the undoing
    assert _since(third, 400, follows=True) == 400
    # begun anew within one second
    assert _since(first, 100, follows=False) == 101
