"""A source's clock that was set back: a time that it showed twice is no target."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from drmgr.flows.reach import reach
from drmgr.flows.shipped import LogRange, log_ranges, log_tags
from drmgr.model import Facts, LogBatch, Member, RecoveryTarget, Snapshot
from tests.support.fake_repository import FakeRepository

BEGUN = datetime(2026, 1, 5, 10, tzinfo=UTC)


def minutes(number: float) -> datetime:
    return BEGUN + timedelta(minutes=number)


def shipped(*untils: float) -> tuple[LogRange, ...]:
    """Logs that came every five minutes by our clock, and end when the source's clock said so."""
    return tuple(
        LogRange(Snapshot(f"s{number}", minutes(5 * number)), "chain", 1, number, number, minutes(until), number * 1000)
        for number, until in enumerate(untils, start=1)
    )


def twice(ranges: tuple[LogRange, ...], at: float, since: float = 0) -> bool:
    recovery = {"system_identifier": "chain", "timeline": 1, "last_log": 0, "position": 0, "restore_point": ""}
    facts = Facts("mariadb", minutes(since), {"recovery": recovery})
    found = reach(Member("main", "mariadb", minutes(since), (), facts), ranges)
    assert found is not None
    return found.twice(RecoveryTarget("time", minutes(at).isoformat()))


def test_a_clock_that_goes_on_means_every_time_once() -> None:
    ranges = shipped(5, 10, 10, 9.9, 15)
    assert not any(twice(ranges, at) for at in range(16))


# an hour ahead, set right after the second log: 10:05, 10:10, then 9:15 and on until it passes where it was
@pytest.mark.parametrize(
    ("at", "expected"),
    [(1, True), (5, True), (9.9, True), (10, False), (14, False), (-60, False), (-51, False)],
)
def test_a_time_that_was_shown_twice_is_in_doubt_and_no_other(at: float, expected: bool) -> None:
    ranges = shipped(5, 10, -45, 0, 6, 12)
    assert twice(ranges, at, since=-120) is expected


@pytest.mark.parametrize(("at", "expected"), [(-1, False), (0, True), (30, True), (59, True), (60, False), (3, True)])
def test_a_clock_set_back_within_one_log_is_told_by_that_log(at: float, expected: bool) -> None:
    """It ran up to 11:00, was set back to 10:00 and went on to 10:04; the next log looks as if nothing had been."""
    first, second = shipped(4, 9)
    assert twice((replace(first, twice=(minutes(0), minutes(60))), second), at, since=-30) is expected


def test_what_a_log_says_of_its_times_comes_back_from_its_tags(tmp_path: Path) -> None:
    batch = LogBatch("chain", 1, 1, 2, minutes(4), 7, {}, (), (minutes(0), minutes(60)))
    repository = FakeRepository(tmp_path / "repository")
    repository.init()
    repository.store_bytes("x", b"x", log_tags("his", "main", batch))
    (found,) = log_ranges(repository, "his", "main")
    assert (found.until, found.twice, found.position) == (minutes(4), (minutes(0), minutes(60)), 7)


def test_a_point_made_after_it_has_no_doubt() -> None:
    ranges = shipped(5, 10, -45, 0, 6, 12)
    later = tuple(each for each in ranges if each.first > 3)
    assert not any(twice(later, at, since=-44) for at in range(-44, 12))


@pytest.mark.parametrize("kind", ["position", "name"])
def test_places_in_the_log_are_never_in_doubt(kind: str) -> None:
    recovery = {"system_identifier": "chain", "timeline": 1, "last_log": 0, "position": 0, "restore_point": ""}
    member = Member("main", "mariadb", BEGUN, (), Facts("mariadb", BEGUN, {"recovery": recovery}))
    found = reach(member, shipped(10, -45))
    assert found is not None
    assert not found.twice(RecoveryTarget(kind, "5"))  # type: ignore[arg-type]
