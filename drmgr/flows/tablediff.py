"""What has changed between two tables, by the digests of their rows."""

import sqlite3
from collections.abc import Iterable, Iterator
from contextlib import closing
from itertools import groupby
from operator import itemgetter

from drmgr.interfaces import TableEngine
from drmgr.model import Instance, TableChange, TableShape

Digests = Iterable[tuple[bytes, bytes]]

_BEFORE, _NOW = 0, 1


def compare(
    before: tuple[TableEngine, Instance, TableShape], now: tuple[TableEngine, Instance, TableShape]
) -> TableChange:
    """Both are read once, and only read. Raises SourceError.

    By the primary key where both have it, otherwise by whole rows. Only columns that both have are compared.
    """
    (engine, of, old), (live_engine, live, new) = before, now
    columns = [column for column in old.columns if column in new.columns]
    key = common_key(old, new)
    counts = _counted(engine.digests(of, old, columns, key), live_engine.digests(live, new, columns, key))
    return TableChange(
        *counts[:4],
        changed=counts[4] if key else None,
        columns_added=tuple(column for column in new.columns if column not in old.columns),
        columns_removed=tuple(column for column in old.columns if column not in new.columns),
    )


def common_key(old: TableShape, new: TableShape) -> tuple[str, ...]:
    """The primary key that both have; empty when there is none."""
    return old.key if set(old.key) == set(new.key) else ()


def _counted(before: Digests, now: Digests) -> tuple[int, int, int, int, int]:
    """Rows before, now, added, removed, changed. Memory stays flat: the digests go into a private file without a name."""
    with closing(sqlite3.connect("")) as file:
        file.execute("CREATE TABLE d (side INTEGER, k BLOB, r BLOB)")
        totals = [
            file.executemany(f"INSERT INTO d VALUES ({side}, ?, ?)", digests).rowcount  # noqa: S608 - a number of ours
            for side, digests in ((_BEFORE, before), (_NOW, now))
        ]
        added = removed = changed = 0
        for news, olds in _unlike(file):
            # of one key: as many as there are on both sides have changed, the rest came or went
            both = min(news, olds)
            added, removed, changed = added + news - both, removed + olds - both, changed + both
    # rowcount is -1 when nothing was to be inserted
    return max(0, totals[_BEFORE]), max(0, totals[_NOW]), added, removed, changed


def _unlike(file: sqlite3.Connection) -> Iterator[tuple[int, int]]:
    """For each key, how many rows are only there now, and how many were only there before."""
    found = file.execute(
        "SELECT k, sum(side = 1) - sum(side = 0) FROM d GROUP BY k, r HAVING sum(side = 1) <> sum(side = 0) ORDER BY k"
    )
    for _, rows in groupby(found, itemgetter(0)):
        surplus = [number for _, number in rows]
        yield sum(each for each in surplus if each > 0), -sum(each for each in surplus if each < 0)
