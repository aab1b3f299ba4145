from datetime import UTC, date, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from drmgr.flows.points import SealedPoint
from drmgr.flows.retention import LegalHold, Rules, kept_by_rules
from drmgr.model import Facts, Member, Part, PointStatus, RecoveryPoint

ZONE = ZoneInfo("Asia/Shanghai")
NOW = datetime(2026, 11, 22, 12, tzinfo=ZONE)
NONE = Rules(timedelta(hours=1), 0, 0, 0, 0, timedelta(days=14))


def at(instant: datetime, status: PointStatus = PointStatus.COMPLETE) -> SealedPoint:
    name = instant.astimezone(UTC).strftime("%Y%m%d%H%M")
    member = Member("main", "fake", instant, (Part("data", f"{name}-data", 1, 1),), Facts("fake", instant, {}))
    return SealedPoint(RecoveryPoint(name, "his", "R", instant, instant, status, (member,), {}, "h"), f"{name}-seal")


def daily(days: int) -> list[SealedPoint]:
    return [at(NOW - timedelta(days=day, hours=2)) for day in reversed(range(days))]


def rules(**changes: object) -> Rules:
    from dataclasses import replace

    return replace(NONE, **changes)  # type: ignore[arg-type]


def test_grandfather_father_son_over_thirty_one_years() -> None:
    points = daily(365 * 31)
    kept = kept_by_rules(points, rules(daily=14, weekly=8, monthly=12, yearly=30), NOW, ZONE)
    years = {sealed.point.consistent_at.year for sealed in points if sealed.seal in kept}
    assert len(years) == 30
    words = [word for reasons in kept.values() for word in reasons]
    counts = [sum(f"of the {period}" in word for word in words) for period in ("day", "week", "month", "year")]
    assert counts == [14, 8, 12, 30]
    newest = kept[points[-1].seal]
    assert newest == (
        "newest of the day 2026-11-22", "newest of the week 2026-W47",
        "newest of the month 2026-11", "newest of the year 2026",
    )  # fmt: skip


def test_nothing_expires_because_backups_have_stopped() -> None:
    points = [at(NOW - timedelta(days=4000 + day)) for day in range(14)]
    assert len(kept_by_rules(points, rules(daily=14), NOW, ZONE)) == 14
    # nor because this host believes to live in another year
    assert len(kept_by_rules(points, rules(daily=14), NOW + timedelta(days=9000), ZONE)) == 14


def test_days_are_those_of_the_site() -> None:
    # 00:30 and 23:30 in Shanghai: one day there, two in UTC
    points = [at(datetime(2026, 11, 1, hour, 30, tzinfo=ZONE)) for hour in (0, 23)]
    assert list(kept_by_rules(points, rules(daily=9), NOW, ZONE)) == [points[1].seal]


def test_an_incomplete_point_stands_in_only_where_there_is_no_complete_one() -> None:
    day = datetime(2026, 11, 1, tzinfo=ZONE)
    half = PointStatus.INCOMPLETE
    whole, later = at(day + timedelta(hours=1)), at(day + timedelta(hours=2), half)
    alone = at(day + timedelta(days=1), half)
    assert set(kept_by_rules([whole, later, alone], rules(daily=9), NOW, ZONE)) == {whole.seal, alone.seal}


HOLDS = [
    (LegalHold("court", point="202611"), True),
    (LegalHold("court", point="2027"), False),
    (LegalHold("court", since=date(2026, 11, 1), before=date(2026, 11, 2)), True),
    (LegalHold("court", since=date(2026, 11, 2)), False),
    (LegalHold("court", before=date(2026, 11, 1)), False),
    (LegalHold("court", before=date(2027, 1, 1), until=date(2026, 11, 23)), True),
    (LegalHold("court", before=date(2027, 1, 1), until=date(2026, 11, 22)), False),
]


@pytest.mark.parametrize(("hold", "held"), HOLDS)
def test_legal_holds(hold: LegalHold, held: bool) -> None:
    point = at(datetime(2026, 11, 1, 8, tzinfo=ZONE))
    assert kept_by_rules([point], rules(holds=(hold,)), NOW, ZONE) == (
        {point.seal: ("legal hold: court",)} if held else {}
    )


@given(
    st.lists(st.integers(min_value=0, max_value=10**6), min_size=1, max_size=60, unique=True),
    st.integers(min_value=0, max_value=5),
)
def test_more_generous_rules_never_keep_less(hours: list[int], more: int) -> None:
    points = [at(NOW - timedelta(hours=each)) for each in sorted(hours, reverse=True)]
    few, many = rules(daily=2, yearly=2), rules(daily=2 + more, weekly=more, yearly=2 + more)
    assert set(kept_by_rules(points, few, NOW, ZONE)) <= set(kept_by_rules(points, many, NOW, ZONE))
