"""Level 5: what one system says, another knows: order and result, discharge and settlement, all of one patient."""

import hashlib
import sqlite3
from collections.abc import Callable, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass
from datetime import datetime, timedelta, tzinfo
from decimal import Decimal
from typing import Literal

from drmgr.checks.rows import MOST_SHOWN, row_hash, row_key
from drmgr.errors import SourceError
from drmgr.interfaces import SqlEngine
from drmgr.model import CheckResult, CheckStatus, Digits, Json, Level, Restored, Text
from drmgr.system.clock import rfc3339

Skew = Literal["none", "left-newer"]
DIGEST_BYTES = 16


@dataclass(frozen=True)
class Side:
    """One system's part: a query of its source. The left one gives, after the key, the instant of each row."""

    system: str
    source: str
    engine: SqlEngine
    sql: str


class AcrossCheck:
    """Every row of the left system is known to the right one, by its key.

    Keys are compared exactly: texts as they are, numbers by their value, and what is NULL or no number (NaN) equals nothing.
    ``skew`` left-newer: rows of the left that came after the right's own instant, or less than ``lag`` before it, and not
    after the left's, are not looked for; they are counted as later. A row after the instants of both is wrong, for nothing
    could have written it: it is counted as beyond. Rows that are missing are told by number and keyed hash; ``baseline`` are
    accepted ones. Memory does not grow with the data: hashes of the right keys go into a private file that has no name.
    """

    level = Level.ACROSS

    def __init__(
        self,
        *,
        name: str,
        title: Text,
        left: Side,
        right: Side,
        skew: Skew,
        lag: timedelta,
        baseline: Sequence[str | int],
        hash_key: Callable[[], bytes],
        zone: tzinfo,
        item: str = "",
    ) -> None:
        self.name = name
        self.systems: tuple[str, ...] = (left.system, right.system)
        self._title = title
        self._left = left
        self._right = right
        self._skew = skew
        self._lag = lag
        self._baseline = frozenset(map(str, baseline))
        self._hash_key = hash_key
        self._zone = zone
        self._item = item

    def run(self, restored: Mapping[str, Restored]) -> CheckResult:
        """Raises SourceError when a query fails, NotRestored and KeyError when a side is not there."""
        left, right = restored[self._left.system], restored[self._right.system]
        window = self._window(left, right)
        counts = {"rows": 0, "missing": 0, "known": 0, "later": 0, "beyond": 0}
        shown: list[str] = []
        with closing(sqlite3.connect("")) as keys:
            self._remember(keys, right)
            for row in self._left.engine.rows(left.instance(self._left.source), self._left.sql):
                key, at = _key(row[:-1]), self._instant(row)
                if at is not None and window.excuses(at):
                    counts["later"] += 1
                    continue
                counts["beyond"] += at is not None and window.is_beyond(at)
                counts["rows"] += 1
                known = keys.execute("SELECT 1 FROM k WHERE h = ?", (_digest(key),)).fetchone() is not None
                if not known or any(map(_equals_nothing, row[:-1])):
                    self._miss(key, counts, shown)
        return self._result(counts, shown, window)

    def _window(self, left: Restored, right: Restored) -> "_Window":
        until, known = left.latest(self._left.source), right.instant(self._right.source)
        end = max(until, right.latest(self._right.source))
        # without skew nothing is excused, and no row is held to its instant
        return _Window(known - self._lag, until, end) if self._skew == "left-newer" else _Window(None, until, None)

    def _remember(self, keys: sqlite3.Connection, right: Restored) -> None:
        keys.execute("CREATE TABLE k (h BLOB PRIMARY KEY) WITHOUT ROWID")
        rows = self._right.engine.rows(right.instance(self._right.source), self._right.sql)
        keys.executemany("INSERT OR IGNORE INTO k VALUES (?)", ((_digest(_key(row)),) for row in rows))

    def _instant(self, row: tuple[Json, ...]) -> datetime | None:
        if len(row) < 2:  # noqa: PLR2004 - a key and an instant
            raise SourceError(f"the left query of {self.name} must give a key and, last, the instant of each row")
        if row[-1] is None:
            return None
        try:
            at = datetime.fromisoformat(str(row[-1]))
        except ValueError:
            # not shown: it may be a name
            raise SourceError(f"the last column of the left query of {self.name} is not an instant") from None
        return at.replace(tzinfo=self._zone) if at.tzinfo is None else at

    def _miss(self, key: str, counts: dict[str, int], shown: list[str]) -> None:
        hashed = row_hash(self._hash_key(), self.name, key)
        if {key, hashed} & self._baseline:
            counts["known"] += 1
            return
        counts["missing"] += 1
        if len(shown) < MOST_SHOWN:
            shown.append(hashed)

    def _result(self, counts: Mapping[str, int], shown: Sequence[str], window: "_Window") -> CheckResult:
        # no row at all on the left proves nothing
        holds = counts["rows"] > counts["known"] and not counts["missing"] and not counts["beyond"]
        left, right = self.systems
        return CheckResult(
            self.name,
            CheckStatus.PASS if holds else CheckStatus.FAIL,
            self.level,
            {"missing": 0, "beyond": 0, "known": len(self._baseline)},
            {**counts, **window.told(self._zone), **({"hashes": list(shown)} if shown else {})},
            source=f"{left} → {right}",
            title=self._title,
            message=_message(counts, left, right),
            item=self._item,
        )


@dataclass(frozen=True)
class _Window:
    """Rows after ``horizon`` and up to ``until`` are excused, those after ``end`` wrong; None: no row is."""

    horizon: datetime | None
    until: datetime
    end: datetime | None

    def excuses(self, at: datetime) -> bool:
        return self.horizon is not None and self.horizon < at <= self.until

    def is_beyond(self, at: datetime) -> bool:
        return self.end is not None and at > self.end

    def told(self, zone: tzinfo) -> dict[str, Json]:
        if self.horizon is None:
            return {}
        ends = (rfc3339(each.astimezone(zone)) for each in (self.horizon, self.until))
        return dict(zip(("later_than", "later_until"), ends, strict=True))


def _message(counts: Mapping[str, int], left: str, right: str) -> str:
    told = []
    if counts["missing"] or counts["rows"] <= counts["known"]:
        told.append(f"{counts['missing']} of {counts['rows']} rows of {left} are not known to {right}")
    if counts["beyond"]:
        told.append(f"{counts['beyond']} rows of {left} are later than what either system was brought to")
    if counts["later"]:
        told.append(f"{counts['later']} rows of {left} are later than {right} has to know, and were not looked for")
    return "; ".join(told)


def _digest(key: str) -> bytes:
    return hashlib.blake2b(key.encode(), digest_size=DIGEST_BYTES).digest()


def _key(row: Sequence[Json]) -> str:
    return row_key(map(_text, row))


def _text(value: Json) -> str | None:
    """The same text for the same number of any database: 12.50 and 12.5 are one. None for NULL."""
    if isinstance(value, float | Digits):
        digits = f"{Decimal(str(value)):f}"
        # not Decimal.normalize: it rounds to 28 digits
        plain = digits.rstrip("0").rstrip(".") if "." in digits else digits
        return "0" if plain == "-0" else plain
    return None if value is None else str(value)


def _equals_nothing(value: Json) -> bool:
    return value is None or (isinstance(value, float | Digits) and not Decimal(value).is_finite())
