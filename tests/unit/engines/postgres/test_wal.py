"""Positions, file names and views of the log."""

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from drmgr.engines.postgres.instant import Snapshot
from drmgr.engines.postgres.wal import Times, lsn_text, parse_lsn, segment_name, segment_of

MIB = 1024 * 1024


@given(st.integers(0, 2**64 - 1))
def test_a_position_is_read_back(position: int) -> None:
    assert parse_lsn(lsn_text(position)) == position


@given(st.integers(1, 2**32 - 1), st.integers(0, 2**40), st.sampled_from([MIB, 16 * MIB, 64 * MIB, 1024 * MIB]))
def test_a_segment_is_read_back(timeline: int, position: int, size: int) -> None:
    assert segment_of(segment_name(timeline, position // size, size), size) == (timeline, position // size)


def test_segments_are_named_as_the_server_names_them() -> None:
    assert segment_name(1, parse_lsn("0/2000000") // (16 * MIB), 16 * MIB) == "000000010000000000000002"
    assert segment_name(10, parse_lsn("16/B374D848") // (16 * MIB), 16 * MIB) == "0000000A00000016000000B3"


@pytest.mark.parametrize("text", ["", "0", "0/", "g/1", "2026-01-05", "0/1/2", "1234567890/1"])
def test_what_is_no_position_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="must be a position"):
        parse_lsn(text)


@pytest.mark.parametrize(
    ("view", "xid", "shown"),
    [
        ("10:20:12,15", 9, True),
        ("10:20:12,15", 11, True),
        ("10:20:12,15", 12, False),
        ("10:20:12,15", 19, True),
        ("10:20:12,15", 20, False),
        # after 2^32 transactions the log's numbers begin anew, the view's do not
        (f"{2**32 + 3}:{2**32 + 9}:{2**32 + 5}", 5, False),
        (f"{2**32 + 3}:{2**32 + 9}:{2**32 + 5}", 6, True),
        (f"{2**32 + 3}:{2**32 + 9}:{2**32 + 5}", 2**32 - 1, True),
        (f"{2**32 - 3}:{2**32 - 1}:", 4, False),
    ],
)
def test_a_view_shows_what_had_ended_before_it(view: str, xid: int, shown: bool) -> None:
    assert Snapshot.parse(view).shows(xid) is shown


@pytest.mark.parametrize(
    ("minutes", "until", "twice"),
    [
        ([], None, None),
        ([0, 1, 2], 2, None),
        # what two sessions end at once may stand in either order
        ([0, 5, 4.99, 5.01], 5.01, None),
        ([0, 60, 1, 2], 2, (1, 60)),
        # set back twice, and then right again
        ([0, 60, 30, 10, 90], 90, (10, 60)),
    ],
)
def test_a_clock_that_was_set_back_shows_in_the_times_of_the_log(
    minutes: list[float], until: float | None, twice: tuple[float, float] | None
) -> None:
    def at(number: float) -> datetime:
        return datetime(2026, 1, 5, 10, tzinfo=UTC) + timedelta(minutes=number)

    times = Times()
    for number in minutes:
        times.take(at(number))
    assert times.until == (None if until is None else at(until))
    assert times.twice == (None if twice is None else (at(twice[0]), at(twice[1])))
