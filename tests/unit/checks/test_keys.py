"""Keys of rows: what is one key and what are two, between two systems and beside a baseline."""

from collections.abc import Iterator, Sequence
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from drmgr.checks.across import AcrossCheck, Side
from drmgr.checks.rows import RowsCheck, row_hash, row_key
from drmgr.engines import answers
from drmgr.engines.postgres import query
from drmgr.model import (
    CheckResult,
    CheckStatus,
    Digits,
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
Row = tuple[object, ...]


class Server:
    """An SqlEngine whose one query gives these values of the driver."""

    def __init__(self, rows: Sequence[Row]) -> None:
        self._rows = rows

    def rows(self, of: Instance, sql: str) -> Iterator[tuple[Json, ...]]:
        del of, sql
        for row in self._rows:
            yield tuple(answers.to_json(value) for value in row)


def restored() -> Restored:
    member = Member("main", "fake", START, (Part("p", "s", 1, 1),), Facts("fake", START, {}))
    point = RecoveryPoint("P", "his", "R", START, START, PointStatus.COMPLETE, (member,), {}, "host")
    return Restored(point, {"main": Instance("fake")}, Objectives(timedelta(hours=1), timedelta(hours=1)))


def across(left: Sequence[Row], right: Sequence[Row], baseline: Sequence[str | int] = ()) -> CheckResult:
    """The check over these keys; every row of the left is of the present instant."""
    check = AcrossCheck(
        name="orders",
        title=TITLE,
        left=Side("his", "main", Server([(*key, START) for key in left]), ""),  # type: ignore[arg-type]
        right=Side("lis", "main", Server(right), ""),  # type: ignore[arg-type]
        skew="none",
        lag=timedelta(0),
        baseline=baseline,
        hash_key=lambda: b"key",
        zone=UTC,
    )
    return check.run({"his": restored(), "lis": restored()})


def wrong_rows(rows: Sequence[Row], baseline: Sequence[str | int]) -> CheckResult:
    check = RowsCheck(
        name="rows",
        title=TITLE,
        source="main",
        engine=Server(rows),  # type: ignore[arg-type]
        sql="",
        baseline=baseline,
        hash_key=lambda: b"key",
    )
    return check.run(restored())


@pytest.mark.parametrize(
    ("left", "right"),
    [
        ((5, "P1"), (5, "P1")),
        ((5,), (5.0,)),
        ((Decimal("1.10"),), (Decimal("1.1"),)),
        ((Decimal("12.50"),), (12.5,)),
        ((Decimal("5.00"),), (5,)),
        ((Decimal("0.00001"),), (0.00001,)),
        ((Decimal("0E-10"),), (-0.0,)),
        ((Decimal("1E+22"),), (1e22,)),
        # a key is a number in one system and a text in the other, as is every time of SQLite
        ((5,), ("5",)),
        ((datetime.fromisoformat("2026-01-05T08:00:00"),), ("2026-01-05T08:00:00",)),
        ((date(2026, 1, 5),), ("2026-01-05",)),
        (("",), ("",)),
        ((r"\N", 'a|"'), (r"\N", 'a|"')),
    ],
)
def test_the_same_key_of_two_databases_is_one(left: Row, right: Row) -> None:
    assert across([left], [right]).status is CheckStatus.PASS


@pytest.mark.parametrize(
    ("left", "right"),
    [
        (("O1", None), ("O1", "")),
        (("O1", None), ("O1", r"\N")),
        (("O1", None), ("O1", None)),
        (("O1", ""), ("O1", None)),
        (("a|b", "c"), ("a", "b|c")),
        (('a"|"b', "c"), ("a", "b|c")),
        (('"a', 'b"'), ("a|b",)),
        (("1.10",), ("1.1",)),
        (("007.50",), ("7.5",)),
        (("1.10",), (Decimal("1.10"),)),
        (("0.00001",), ("0.00004",)),
        ((0.00001,), (0.00004,)),
        ((Decimal("0.00001"),), (Decimal("0.00004"),)),
        ((Decimal("1234567890123456789012345678.91"),), (Decimal("1234567890123456789012345678.92"),)),
        (("A",), ("a",)),
        (("A",), ("A ",)),
        ((Decimal("NaN"),), (Decimal("NaN"),)),
        ((Decimal("NaN"),), ("NaN",)),
        ((float("inf"),), (float("inf"),)),
    ],
)
def test_two_keys_are_never_taken_for_one(left: Row, right: Row) -> None:
    result = across([left], [right])
    assert (result.status, result.actual["missing"]) == (CheckStatus.FAIL, 1)


@pytest.mark.parametrize(
    ("key", "spelling"),
    [
        (("V1", "P1"), "V1|P1"),
        ((5, Decimal("12.50")), "5|12.5"),
        (("C:\\scans\\1.tif", 'six "foot"'), 'C:\\scans\\1.tif|six "foot"'),
        (("O1", None), r"O1|\N"),
        (("O1", ""), "O1|"),
        ((r"\N",), r'"\N"'),
        (("a|b", "c"), '"a|b"|c'),
        (('"a"',), '"""a"""'),
    ],
)
def test_a_missing_key_is_accepted_by_its_spelling_or_hash(key: Row, spelling: str) -> None:
    for accepted in (spelling, row_hash(b"key", "orders", spelling)):
        result = across([key, ("other",)], [("other",)], [accepted])
        assert (result.status, result.actual["known"]) == (CheckStatus.PASS, 1)


@pytest.mark.parametrize(
    ("row", "other", "spelling"),
    [
        ((7, None), (7, ""), r"7|\N"),
        ((7, ""), (7, None), "7|"),
        (("a|b", "c"), ("a", "b|c"), '"a|b"|c'),
        (("a", "b", "c"), ("a|b", "c"), "a|b|c"),
        ((Decimal("12.50"),), (Decimal("12.51"),), "12.50"),
        ((5,), (6,), "5"),
    ],
)
def test_a_wrong_row_is_accepted_by_its_own_spelling_alone(row: Row, other: Row, spelling: str) -> None:
    known = wrong_rows([row], [spelling])
    assert (known.status, known.actual) == (CheckStatus.PASS, {"new": 0, "known": 1})

    assert wrong_rows([row], [row_hash(b"key", "rows", spelling)]).status is CheckStatus.PASS
    assert wrong_rows([other], [spelling]).status is CheckStatus.FAIL


COLUMN = st.none() | st.text('|"\\Na', max_size=4)


@given(st.lists(COLUMN, min_size=1, max_size=3), st.lists(COLUMN, min_size=1, max_size=3))
def test_only_equal_columns_are_spelled_alike(one: list[str | None], other: list[str | None]) -> None:
    assert (row_key(one) == row_key(other)) is (one == other)


@pytest.mark.parametrize("to_json", [answers.to_json, query.to_json])
def test_every_engine_tells_a_number_from_a_text_of_its_digits(to_json: object) -> None:
    assert callable(to_json)
    assert type(to_json("1.10")) is str
    assert (to_json(Decimal("1.10")), type(to_json(Decimal("1.10")))) == ("1.10", Digits)
