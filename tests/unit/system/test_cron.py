"""Times of a schedule, above all around the two clock changes of a year."""

from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest

from drmgr.system.cron import Cron, check_expression

BERLIN = ZoneInfo("Europe/Berlin")
SPRING = datetime(2026, 3, 29, 1, tzinfo=UTC)
AUTUMN = datetime(2026, 10, 25, 1, tzinfo=UTC)


def local(*parts: int, fold: int = 0) -> datetime:
    return datetime(*parts, tzinfo=BERLIN, fold=fold).astimezone(UTC)  # type: ignore[misc,arg-type]


def test_a_time_that_is_skipped_comes_after_the_gap_and_one_that_is_repeated_comes_once() -> None:
    cron = Cron("30 2 * * *", BERLIN)
    assert cron.following(local(2026, 3, 28, 12), 2) == [local(2026, 3, 29, 3), local(2026, 3, 30, 2, 30)]
    assert cron.following(local(2026, 10, 24, 12), 2) == [local(2026, 10, 25, 2, 30), local(2026, 10, 26, 2, 30)]
    # in the second pass of the repeated hour the run of the first is the latest one
    assert cron.latest(local(2026, 10, 25, 2, 45, fold=1)) == local(2026, 10, 25, 2, 30)


@pytest.mark.parametrize("change", [SPRING, AUTUMN])
@pytest.mark.parametrize("expression", ["30 2 * * *", "0 * * * *", "*/20 * * * *", "0 2 * * 0", "0 3 L * *"])
def test_looking_back_and_looking_ahead_agree_at_every_minute_of_a_clock_change(
    expression: str, change: datetime
) -> None:
    cron = Cron(expression, BERLIN)
    times = cron.following(change - timedelta(days=62), 64 * 72)
    for minute in range(-180, 240, 7):
        now = change + timedelta(minutes=minute)
        assert cron.latest(now) == max(each for each in times if each <= now), now
        assert cron.following(now, 1) == [min(each for each in times if each > now)], now


def test_month_ends() -> None:
    shanghai = ZoneInfo("Asia/Shanghai")
    cron = Cron("0 3 L * *", shanghai)
    found = [
        each.astimezone(shanghai).strftime("%m-%d %H") for each in cron.following(datetime(2028, 1, 30, tzinfo=UTC), 3)
    ]
    assert found == ["01-31 03", "02-29 03", "03-31 03"]
    # the 31st is skipped where there is none, never moved
    assert Cron("0 3 31 * *", shanghai).latest(datetime(2026, 7, 1, tzinfo=UTC)) == datetime(
        2026, 5, 30, 19, tzinfo=UTC
    )


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("30 1 * *", "five fields"),
        ("0 30 1 * * *", "five fields"),
        ("@daily", "five fields"),
        ("61 * * * *", "minute is wrong"),
        ("0 0 31 2 *", "wrong"),
        ("", "five fields"),
    ],
)
def test_what_is_no_schedule_is_refused(text: str, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        check_expression(text)
