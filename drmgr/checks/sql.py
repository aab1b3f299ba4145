"""Level 4: business questions in portable SQL, each answered by one number, date or truth value."""

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Literal

from drmgr.interfaces import SqlEngine
from drmgr.model import CheckResult, CheckStatus, Json, Level, Restored, Text

Relation = Literal["equals", "at_least", "at_most", "equals_sql"]


@dataclass(frozen=True)
class Expectation:
    """What the answer must be; for ``equals_sql`` the value is a second question to the same source."""

    relation: Relation
    value: Json


class SqlCheck:
    """One question with its expectation."""

    level = Level.BUSINESS

    def __init__(
        self, *, name: str, title: Text, source: str, engine: SqlEngine, sql: str, expect: Expectation
    ) -> None:
        self.name = name
        self._title = title
        self._source = source
        self._engine = engine
        self._sql = sql
        self._expect = expect

    def run(self, restored: Restored) -> CheckResult:
        of = restored.instance(self._source)
        expected = self._expect.value
        if self._expect.relation == "equals_sql":
            expected = self._engine.scalar(of, str(expected))
        actual = self._engine.scalar(of, self._sql)
        # sum() over no rows is NULL: nothing was proven by it
        holds = actual is not None and expected is not None and _holds(self._expect.relation, expected, actual)
        status = CheckStatus.PASS if holds else CheckStatus.FAIL
        return CheckResult(
            self.name,
            status,
            self.level,
            _wording(self._expect.relation, expected),
            actual,
            source=self._source,
            title=self._title,
        )


def _holds(relation: Relation, expected: Json, actual: Json) -> bool:
    if relation == "at_least":
        return bool(_number(actual) >= _number(expected))
    if relation == "at_most":
        return bool(_number(actual) <= _number(expected))
    return bool(actual == expected) or _number(actual) == _number(expected)


def _number(value: Json) -> Json:
    """Numbers that arrive as text (exact decimals) as Decimal, anything else as it is."""
    from decimal import Decimal, InvalidOperation

    if isinstance(value, bool) or not isinstance(value, (int, float, str)):
        return value
    try:
        return Decimal(str(value))
    except InvalidOperation:
        return value


def _wording(relation: Relation, expected: Json) -> Json:
    return expected if relation in {"equals", "equals_sql"} else {relation: expected}


class FreshnessCheck:
    """The newest row is no later than the recovery point and no older than it minus ``within`` (or the system's RPO)."""

    level = Level.BUSINESS

    def __init__(
        self,
        *,
        name: str,
        title: Text,
        source: str,
        engine: SqlEngine,
        table: str,
        column: str,
        within: timedelta | None,
    ) -> None:
        self.name = name
        self._title = title
        self._source = source
        self._engine = engine
        self._table = table
        self._column = column
        self._within = within

    def run(self, restored: Restored) -> CheckResult:
        newest = self._engine.newest(restored.instance(self._source), self._table, self._column)
        # told in one zone, for people compare the three
        latest = restored.point.member(self._source).consistent_at.astimezone(newest.tzinfo if newest else None)
        earliest = latest - (self._within or restored.objectives.rpo)
        fresh = newest is not None and earliest <= newest <= latest
        return CheckResult(
            self.name,
            CheckStatus.PASS if fresh else CheckStatus.FAIL,
            self.level,
            expected={"from": _text(earliest), "to": _text(latest)},
            actual=_text(newest),
            source=self._source,
            title=self._title,
        )


def _text(instant: datetime | None) -> str | None:
    return None if instant is None else instant.isoformat(timespec="seconds")
