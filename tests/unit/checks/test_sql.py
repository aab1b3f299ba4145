from collections.abc import Iterator
from datetime import datetime, timedelta, timezone
from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from drmgr.checks.sql import Expectation, FreshnessCheck, Relation, SqlCheck
from drmgr.engines.answers import to_json
from drmgr.errors import SourceError
from drmgr.model import (
    CheckResult,
    CheckStatus,
    Facts,
    Instance,
    Json,
    Member,
    Objectives,
    Part,
    PointStatus,
    RecoveryPoint,
    Restored,
    Text,
)
from tests.support.fakes import START

TITLE = Text("题", "title")
RPO = timedelta(hours=1)


class Answers:
    """An SqlEngine that knows its answers by heart."""

    def __init__(self, answers: dict[str, Json], newest: datetime | None = None) -> None:
        self._answers = answers
        self._newest = newest

    def scalar(self, of: Instance, sql: str) -> Json:
        return self._answers[sql]

    def newest(self, of: Instance, table: str, column: str) -> datetime | None:
        assert (table, column) == ("public.visit", "at")
        return self._newest

    def rows(self, of: Instance, sql: str) -> Iterator[tuple[Json, ...]]:
        raise AssertionError


def restored(reached: datetime | None = None, ends: datetime | None = None) -> Restored:
    member = Member("main", "fake", START, (Part("p", "s", 1, 1),), Facts("fake", START, {}))
    point = RecoveryPoint("P", "his", "R", START, START, PointStatus.COMPLETE, (member,), {}, "host")
    return Restored(point, {"main": Instance("fake")}, Objectives(RPO, RPO), reached, ends)


def ask(relation: Relation, expected: Json, actual: Json) -> CheckResult:
    answers = {"question": actual}
    if relation == "equals_sql":
        answers["other"], expected = expected, "other"
    engine = Answers(answers)
    expectation = Expectation(relation, expected)
    check = SqlCheck(name="c", title=TITLE, source="main", engine=engine, sql="question", expect=expectation)  # type: ignore[arg-type]
    return check.run(restored())


@pytest.mark.parametrize(
    ("relation", "expected", "actual", "holds"),
    [
        ("equals", 0, 0, True),
        ("equals", 0, 1, False),
        ("equals", 12.5, "12.50", True),
        ("equals", "12.5", "12.50", True),
        ("equals", 0.1, "0.1", True),
        ("equals", 0, "0.00", True),
        ("equals", 0, "0E-10", True),
        ("equals", "7", "007", False),
        ("equals", "A", "A", True),
        ("equals", True, True, True),
        ("equals", True, False, False),
        ("equals", "2026-01-05", "2026-01-05", True),
        ("equals", None, None, True),
        ("equals", None, 0, False),
        ("equals", 0, None, False),
        ("equals", 2**63, 2**63, True),
        ("equals", 2**63, 2**63 + 1, False),
        ("equals", 0, "NaN", False),
        ("at_least", 1, 1, True),
        ("at_least", 1, "0.99", False),
        ("at_least", 9, 10, True),
        ("at_least", 9, "10.00", True),
        ("at_least", 1, None, False),
        ("at_most", 1, 1, True),
        ("at_most", 1, "1.01", False),
        ("at_most", -1, "-1.5", True),
        ("at_most", 1, None, False),
        ("equals_sql", "100.10", "100.1000", True),
        ("equals_sql", "100.10", "100.11", False),
        ("equals_sql", None, None, False),
        ("equals_sql", None, 0, False),
        ("equals_sql", 0, None, False),
    ],
)
def test_expectations(relation: Relation, expected: Json, actual: Json, *, holds: bool) -> None:
    result = ask(relation, expected, actual)
    assert result.status is (CheckStatus.PASS if holds else CheckStatus.FAIL)
    assert result.actual == actual


@pytest.mark.parametrize("actual", ["abc", "NaN", float("nan"), float("inf"), True, [1], "2026-01-05"])
@pytest.mark.parametrize("relation", ["at_least", "at_most"])
def test_what_is_no_number_is_not_compared_as_one(relation: Relation, actual: Json) -> None:
    with pytest.raises(SourceError, match="numbers"):
        ask(relation, 1, actual)


@pytest.mark.parametrize("relation", ["equals", "equals_sql"])
@pytest.mark.parametrize(
    ("value", "shown"),
    [
        (to_json(Decimal("NaN")), "NaN"),
        (to_json(Decimal("-Infinity")), "-Infinity"),
        ("Infinity", "Infinity"),
        (float("nan"), "NaN"),
        (float("inf"), "Infinity"),
        (float("-inf"), "-Infinity"),
    ],
)
def test_what_is_not_finite_is_equal_to_nothing_and_told(relation: Relation, value: Json, shown: str) -> None:
    for result in (ask(relation, value, value), ask(relation, 0, value)):
        assert result.status is CheckStatus.FAIL
        # evidence holds no number that is none
        assert result.actual == shown
        assert shown in result.message
    assert shown in ask(relation, value, 0).message


@given(st.decimals(allow_nan=False, allow_infinity=False, places=4), st.decimals(allow_nan=False, allow_infinity=False))
def test_exact_decimals_are_compared_exactly(expected: Decimal, actual: Decimal) -> None:
    assert (ask("equals_sql", str(expected), str(actual)).status is CheckStatus.PASS) is (expected == actual)
    assert (ask("at_least", str(expected), str(actual)).status is CheckStatus.PASS) is (actual >= expected)
    assert (ask("at_most", str(expected), str(actual)).status is CheckStatus.PASS) is (actual <= expected)


def test_the_result_says_what_was_expected() -> None:
    assert ask("at_least", 5, 7).expected == {"at_least": 5}
    assert ask("equals_sql", 7, 7).expected == 7


def fresh(
    newest: datetime | None,
    within: timedelta | None,
    reached: datetime | None = None,
    ends: datetime | None = None,
) -> CheckResult:
    engine = Answers({}, newest)
    check = FreshnessCheck(
        name="f",
        title=TITLE,
        source="main",
        engine=engine,  # type: ignore[arg-type]
        table="public.visit",
        column="at",
        within=within,
    )
    return check.run(restored(reached, ends))


SECOND = timedelta(seconds=1)


@pytest.mark.parametrize(
    ("newest", "within", "holds"),
    [
        (START, None, True),
        (START - RPO, None, True),
        (START - RPO - SECOND, None, False),
        (START + SECOND, None, False),
        (START - 2 * RPO, 2 * RPO, True),
        (START - 2 * RPO - SECOND, 2 * RPO, False),
        (START - SECOND, timedelta(0), False),
        (None, None, False),
        (START.astimezone(timezone(timedelta(hours=8))), None, True),
        (START.replace(tzinfo=timezone(timedelta(hours=8))), None, False),
    ],
)
def test_the_newest_row_lies_between_point_and_objective(
    newest: datetime | None, within: timedelta | None, *, holds: bool
) -> None:
    assert fresh(newest, within).status is (CheckStatus.PASS if holds else CheckStatus.FAIL)


GONE_TO = START + 3 * RPO


@pytest.mark.parametrize(
    ("newest", "reached", "ends", "holds"),
    [
        (GONE_TO, GONE_TO, None, True),
        (GONE_TO + SECOND, GONE_TO, None, False),
        (GONE_TO - RPO - SECOND, GONE_TO, None, False),
        # a position or a name has no time: anything between the point and the end of its log
        (GONE_TO, None, GONE_TO, True),
        (START, None, GONE_TO, True),
        (START - RPO - SECOND, None, GONE_TO, False),
        (GONE_TO + SECOND, None, GONE_TO, False),
        # in use again
        (GONE_TO + SECOND, GONE_TO, GONE_TO + RPO, True),
        (GONE_TO - RPO - SECOND, GONE_TO, GONE_TO + RPO, False),
    ],
)
def test_after_a_replay_it_lies_between_the_instant_gone_to_and_the_objective(
    newest: datetime, reached: datetime | None, ends: datetime | None, *, holds: bool
) -> None:
    assert fresh(newest, None, reached, ends).status is (CheckStatus.PASS if holds else CheckStatus.FAIL)


def test_the_three_instants_are_told_in_one_zone() -> None:
    result = fresh(START.astimezone(timezone(timedelta(hours=8))), None)
    assert result.expected == {"from": "2026-01-05T13:00:00+08:00", "to": "2026-01-05T14:00:00+08:00"}
    assert result.actual == "2026-01-05T14:00:00+08:00"


def test_a_text_answer_that_is_not_the_jobs_own_is_withheld() -> None:
    """A name in Latin letters looks like a machine's word; nobody but the job may bring it into a record."""
    assert ask("equals", "none", "ZhangSan").actual == {"withheld": "free-text"}
    assert ask("equals", "UTF8", "UTF8").actual == "UTF8"
    assert ask("equals", "none", "2026-01-05").actual == "2026-01-05"
