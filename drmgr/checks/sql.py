"""Level 4: business questions in portable SQL, each answered by one number, date or truth value."""

import math
import re
from dataclasses import dataclass
from datetime import datetime, timedelta
from decimal import Decimal
from typing import Literal

from drmgr.errors import SourceError
from drmgr.interfaces import SqlEngine
from drmgr.model import CheckResult, CheckStatus, Json, Level, Restored, Text
from drmgr.privacy import WITHHELD, is_measure

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
        holds = _holds(self.name, self._expect, expected, actual)
        status = CheckStatus.PASS if holds else CheckStatus.FAIL
        return CheckResult(
            self.name,
            status,
            self.level,
            _wording(self._expect.relation, self._shown(expected)),
            self._shown(actual),
            source=self._source,
            title=self._title,
            message=_unequal(expected, actual),
        )

    def _shown(self, value: Json) -> Json:
        """The value as the record may hold it: a text that is not the job's own could be a patient's name."""
        if word := _not_finite(value):
            return word
        if not isinstance(value, str) or value == self._expect.value:
            return value
        return value if is_measure(value) or _number(value) is not None else dict(WITHHELD)


_NOT_NUMBERS = ("NaN", "Infinity", "-Infinity")


def _holds(name: str, expect: Expectation, expected: Json, actual: Json) -> bool:
    if actual is None or expected is None:
        # sum() over no rows is NULL: it proves nothing, unless the job says that it expects just that
        return actual is None and expect.relation == "equals" and expect.value is None
    relation, wanted, found = expect.relation, _number(expected), _number(actual)
    if relation in {"equals", "equals_sql"}:
        if _unequal(expected, actual):
            return False
        return bool(actual == expected) if wanted is None or found is None else wanted == found
    if wanted is None or found is None:
        raise SourceError(f"{name}: {relation} compares numbers, and this is none", hint="mend the check's sql")
    return found >= wanted if relation == "at_least" else found <= wanted


def _not_finite(value: Json) -> str:
    """NaN, Infinity or -Infinity when the value is that, as a number or as its text; else nothing."""
    if isinstance(value, float):
        return "" if math.isfinite(value) else str(Decimal(value))
    return str(value) if isinstance(value, str) and value in _NOT_NUMBERS else ""


def _unequal(expected: Json, actual: Json) -> str:
    """Why the two are not equal even if they are the same: two sums that overflowed say nothing of the data."""
    for what, value in (("answer", actual), ("expected value", expected)):
        if word := _not_finite(value):
            return f"the {what} is {word}, which is equal to nothing"
    return ""


def _number(value: Json) -> Decimal | None:
    """The value as an exact number, None when it is none. Decimals arrive as text; codes such as 007 stay text."""
    if isinstance(value, bool) or not isinstance(value, (int, float, str)):
        return None
    text = str(value)
    return Decimal(text) if _DECIMAL.fullmatch(text) else None


_DECIMAL = re.compile(r"-?(0|[1-9][0-9]*)(\.[0-9]+)?([eE][+-]?[0-9]{1,6})?")


def _wording(relation: Relation, expected: Json) -> Json:
    return expected if relation in {"equals", "equals_sql"} else {relation: expected}


class FreshnessCheck:
    """The newest row is no later than the instant brought back and no older than it minus ``within`` (or the RPO)."""

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
        zone = newest.tzinfo if newest else None
        latest = restored.latest(self._source).astimezone(zone)
        within = restored.objectives.rpo if self._within is None else self._within
        earliest = restored.instant(self._source).astimezone(zone) - within
        fresh = newest is not None and earliest <= newest <= latest
        return CheckResult(
            self.name,
            CheckStatus.PASS if fresh else CheckStatus.FAIL,
            self.level,
            expected={"from": _text(earliest), "to": _text(latest)},
            actual=_text(newest),
            source=self._source,
            title=self._title,
            carries=False,
        )


def _text(instant: datetime | None) -> str | None:
    return None if instant is None else instant.isoformat(timespec="seconds")
