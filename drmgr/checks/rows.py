"""Level 4: rows that are wrong, told by number and keyed hash alone; those known from before are no new mistake."""

import hashlib
import hmac
from collections.abc import Callable, Iterable, Sequence

from drmgr.interfaces import SqlEngine
from drmgr.model import CheckResult, CheckStatus, Json, Level, Restored, Text

MOST_SHOWN = 5
HASH_DIGITS = 20
PREFIX = "hmac:"
NULL = r"\N"


class RowsCheck:
    """A query that gives the key of every wrong row. ``hash_key`` gives the site's key for their hashes.

    ``baseline`` are the keys of wrong rows that the hospital knows and accepts, as the query gives them (spelled as
    ``row_key`` does) or as hashes. Memory: one entry for each of these, whatever the query gives.
    """

    level = Level.BUSINESS

    def __init__(
        self,
        *,
        name: str,
        title: Text,
        source: str,
        engine: SqlEngine,
        sql: str,
        baseline: Sequence[str | int],
        hash_key: Callable[[], bytes],
    ) -> None:
        self.name = name
        self._title = title
        self._source = source
        self._engine = engine
        self._sql = sql
        self._baseline = frozenset(map(str, baseline))
        self._hash_key = hash_key

    def run(self, restored: Restored) -> CheckResult:
        wrong, known = 0, set()
        shown: list[str] = []
        hash_key = b""
        for row in self._engine.rows(restored.instance(self._source), self._sql):
            key = row_key(None if value is None else str(value) for value in row)
            # asked for only when a row is wrong, and then once
            hash_key = hash_key or self._hash_key()
            hashed = row_hash(hash_key, self.name, key)
            accepted = {key, hashed} & self._baseline
            if accepted:
                known |= accepted
                continue
            wrong += 1
            if len(shown) < MOST_SHOWN:
                shown.append(hashed)
        actual: dict[str, Json] = {"new": wrong, "known": len(known)}
        if shown:
            actual["rows"] = shown
        return CheckResult(
            self.name,
            CheckStatus.FAIL if wrong else CheckStatus.PASS,
            self.level,
            {"new": 0, "known": len(self._baseline)},
            actual,
            source=self._source,
            title=self._title,
            message=f"{wrong} wrong rows that are not in the baseline" if wrong else "",
        )


def row_hash(key: bytes, check: str, row: str) -> str:
    """The same row of the same check has the same hash at this site, and nobody without the key can guess back."""
    return PREFIX + hmac.digest(key, f"{check}\0{row}".encode(), hashlib.sha256).hex()[:HASH_DIGITS]


def row_key(columns: Iterable[str | None]) -> str:
    """The columns joined by |, a NULL as ``NULL``; of a query's rows no two have the same key.

    A value that holds | , begins with a double quote or is spelled as NULL is quoted as in CSV: all others stay as they are.
    """
    return "|".join(map(_column, columns))


def _column(text: str | None) -> str:
    if text is None:
        return NULL
    if "|" in text or text.startswith('"') or text == NULL:
        return '"' + text.replace('"', '""') + '"'
    return text
