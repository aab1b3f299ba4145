"""The statements that drmgr prints for a person, carried out row by row."""

import re
from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

from tests.support.tds.backups import Refused
from tests.support.tds.server import Rows, Say
from tests.support.tds.store import Table
from tests.support.tds.texts import NAME, parts, unbracketed
from tests.support.tds.wire import Column as Described

PLACE = rf"{NAME}\.{NAME}"
_MISSING = re.compile(
    rf"SELECT ([dl])\.\* FROM {PLACE} AS \1 WHERE NOT EXISTS \(SELECT 1 FROM {PLACE} AS [dl] WHERE (.*)\)"
)
_CHANGED = re.compile(
    rf"SELECT d\.\*, l\.\* FROM {PLACE} AS d JOIN {PLACE} AS l ON (.*) "
    r"WHERE NOT EXISTS \(SELECT (.*) INTERSECT SELECT (.*)\)"
)
_COPY = r"ROW_NUMBER\(\) OVER \(PARTITION BY (.*) ORDER BY \(SELECT NULL\)\) AS \[copy\]"
_EXCEPT = re.compile(rf"SELECT (.*), {_COPY} FROM {PLACE} EXCEPT SELECT (.*), {_COPY} FROM {PLACE}")
_SAME = re.compile(rf"l\.{NAME} = d\.{NAME}")
_VALUES = tuple(
    re.compile(text)
    for text in (
        rf"(?:[dl]\.)?{NAME}",
        rf"CONVERT\(varbinary\(max\), CONVERT\(nvarchar\(max\), (?:[dl]\.)?{NAME}\)\)",
        rf"CONVERT\(nvarchar\(max\), {NAME}\) COLLATE Latin1_General_100_BIN2 AS {NAME}",
        rf"CONVERT\(binary\(8\), (?:[dl]\.)?{NAME}\)(?: AS {NAME})?",
    )
)

Tables = Mapping[str, Table]


def looked(tables: Tables, text: str) -> Rows:
    """Raises Refused for what it does not understand."""
    missing, changed, unlike = (pattern.fullmatch(text) for pattern in (_MISSING, _CHANGED, _EXCEPT))
    if missing:
        one, other = _table(tables, missing[2], missing[3]), _table(tables, missing[4], missing[5])
        keys = [unbracketed(found[1]) for found in _conditions(missing[6])]
        there = {_values(other, row, keys) for row in other.rows}
        return _rows([row for row in one.rows if _values(one, row, keys) not in there])
    if changed:
        old, new = _table(tables, changed[1], changed[2]), _table(tables, changed[3], changed[4])
        return _rows(_joined(old, new, [unbracketed(found[1]) for found in _conditions(changed[5])], changed[6]))
    if unlike:
        one, other = _table(tables, unlike[3], unlike[4]), _table(tables, unlike[7], unlike[8])
        if not _names(unlike[1]) == _names(unlike[2]) == _names(unlike[5]) == _names(unlike[6]):
            raise Refused(Say(205, 16, "All queries combined by EXCEPT must have the same expressions."))
        return _rows(sorted(_numbered(one, _names(unlike[1])) - _numbered(other, _names(unlike[1])), key=str))
    raise Refused(Say(102, 15, f"Incorrect syntax near: {text[:200]}"))


def _numbered(table: Table, names: Sequence[str]) -> set[tuple[Any, ...]]:
    """The rows, each with which copy of its likes it is."""
    seen: Counter[tuple[Any, ...]] = Counter()
    found = set()
    for row in table.rows:
        values = _values(table, row, names)
        seen[values] += 1
        found.add((*values, seen[values]))
    return found


def _joined(old: Table, new: Table, keys: Sequence[str], compared: str) -> list[Sequence[Any]]:
    names = _names(compared)
    now = {_values(new, row, keys): row for row in new.rows}
    pairs = ((row, now.get(_values(old, row, keys))) for row in old.rows)
    return [
        (*before, *after)
        for before, after in pairs
        if after is not None and _values(old, before, names) != _values(new, after, names)
    ]


def _table(tables: Tables, schema: str, name: str) -> Table:
    label = f"{unbracketed(schema)}.{unbracketed(name)}"
    if label not in tables:
        raise Refused(Say(208, 16, f"Invalid object name '{label}'."))
    return tables[label]


def _conditions(text: str) -> list[re.Match[str]]:
    found = [_SAME.fullmatch(each) for each in text.split(" AND ")]
    if any(each is None or each[1] != each[2] for each in found):
        raise Refused(Say(102, 15, f"Incorrect syntax near: {text[:200]}"))
    return [each for each in found if each is not None]


def _names(listed: str) -> list[str]:
    return [_name(each) for each in parts(listed)]


def _name(expression: str) -> str:
    for pattern in _VALUES:
        found = pattern.fullmatch(expression)
        if found:
            return unbracketed(found[1])
    raise Refused(Say(102, 15, f"Incorrect syntax near: {expression[:200]}"))


def _values(table: Table, row: Sequence[Any], names: Sequence[str]) -> tuple[Any, ...]:
    return tuple(row[table.column(name)] for name in names)


def _rows(rows: Sequence[Sequence[Any]]) -> Rows:
    """As texts, which are enough to be looked at."""
    width = len(rows[0]) if rows else 1
    shown = [
        [None if value is None else str(value)[:1000].encode("utf-8", "replace").decode() for value in row]
        for row in rows
    ]
    return Rows([Described("", "text")] * width, shown)
