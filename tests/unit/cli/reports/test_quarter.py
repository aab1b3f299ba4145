"""Which shipped logs count in a quarter's report: those that a restore could use."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta

from drmgr.cli.reports.quarter import shipped
from drmgr.flows.points import SealedPoint
from drmgr.flows.shipped import LogRange
from drmgr.model import Facts, Member, Part, PointStatus, RecoveryPoint, Snapshot

START = datetime(2026, 10, 1, tzinfo=UTC)
STEP = timedelta(minutes=5)


def point(number: int, last_log: int) -> SealedPoint:
    at = START + number * STEP
    recovery = {"timeline": 1, "last_log": last_log, "position": last_log, "system_identifier": "chain"}
    facts = Facts("postgresql", at, {"recovery": recovery})
    member = Member("main", "postgresql", at, (Part("cluster", "a" * 64, 1, 1),), facts)
    whole = RecoveryPoint(f"P{number}", "his", "R", at, at, PointStatus.COMPLETE, (member,), {}, "host")
    return SealedPoint(whole, f"S{number}")


def log(number: int) -> LogRange:
    at = START + number * STEP
    return LogRange(Snapshot(f"L{number}", at), "chain", 1, number, number, at - timedelta(seconds=3), number)


def test_logs_that_go_on_from_a_suspicious_point_are_suspicious_until_one_that_is_not() -> None:
    logs = [log(number) for number in range(1, 13)]
    points = [point(0, 0), point(3, 3), point(6, 6), point(9, 9)]
    # all of them can be reached from the first point too, but a replay from there goes through what is doubted
    reached = shipped(points, logs, "main", frozenset({"P3", "P6"}))
    assert [each.doubted for each in reached] == [False] * 3 + [True] * 6 + [False] * 3
    gap = [each for each in logs if each.first != 4]
    assert [each.doubted for each in shipped(points[:2], gap, "main", frozenset({"P3"}))] == [False] * 3
    alone = shipped([point(3, 3)], logs, "main", frozenset({"P3"}))
    assert [each.doubted for each in alone] == [True] * 9
    assert not any(each.doubted for each in shipped(points, logs, "main"))


def test_logs_after_a_missing_one_count_only_from_the_next_point_on() -> None:
    logs = [log(number) for number in range(1, 13)]
    whole = shipped([point(0, 0)], logs, "main")
    assert len(whole) == 12
    assert whole[0].at - whole[0].until == timedelta(seconds=3)
    gap = [each for each in logs if each.first != 4]
    assert len(shipped([point(0, 0)], gap, "main")) == 3
    assert len(shipped([point(0, 0), point(8, 8)], gap, "main")) == 3 + 4
    assert shipped([], logs, "main") == []
    other = replace(log(1), chain="another server")
    assert shipped([point(0, 0)], [other], "main") == []
