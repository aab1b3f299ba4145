"""Columns and values as statements write them, and what CONVERT makes of them."""

import re
from collections.abc import Callable, Sequence
from datetime import date, datetime
from decimal import Decimal
from typing import Any
from uuid import UUID

from tests.support.tds import hashing
from tests.support.tds.backups import Refused
from tests.support.tds.server import Say
from tests.support.tds.store import Column, Table
from tests.support.tds.texts import NAME, unbracketed

_COLUMN = re.compile(
    rf"{NAME} ([a-z0-9_]+)(?:\((max|\d+)(?:, (\d+))?\))?(?: COLLATE (\w+))?(?: IDENTITY\((-?\d+), (-?\d+)\))?"
    r" ?(NOT NULL|NULL)(?: DEFAULT (.*))?"
)
_COMPUTED = re.compile(rf"{NAME} AS (\(.*\))( PERSISTED(?: NOT NULL)?)?")
_CELL = re.compile(r"(?:CONVERT\(var(?:char|binary)\(max\), )?(?:(NULL)|'((?:[^']|'')*)'|0x((?:[0-9A-Fa-f]{2})*))\)?")
_WIDE = {"nchar": 2, "nvarchar": 2, "char": 1, "varchar": 1, "binary": 1, "varbinary": 1}
_FIXED = {
    "int": 4,
    "date": 3,
    "bit": 1,
    "real": 4,
    "uniqueidentifier": 16,
    "datetimeoffset": 10,
    "decimal": 9,
    "xml": -1,
}
_LONG = re.compile(rf"CONVERT\(varbinary\(max\), (?:CONVERT\(nvarchar\(max\), {NAME}\)|{NAME})\)")
_LOST = re.compile("[\\udc80-\\udcff]")
_NUMBER = r"v\.c(\d+)"
_WORD = re.compile(rf"CONVERT\(([a-z0-9]+)(?:\((\d+)(?:, (\d+))?\))?, {_NUMBER}(?:, 121)?\)")

Read = tuple[str, Callable[[Sequence[Any]], Any]]


def column(text: str) -> Column:
    """One column of a CREATE TABLE."""
    computed = _COMPUTED.fullmatch(text)
    if computed:
        persisted, needed = computed[3] is not None, (computed[3] or "").endswith("NOT NULL")
        return Column(
            unbracketed(computed[1]),
            "decimal",
            17,
            23,
            4,
            nullable=not needed,
            computed=computed[2],
            persisted=persisted,
        )
    found = _COLUMN.fullmatch(text)
    if found is None:
        raise Refused(Say(102, 15, f"Incorrect syntax near: {text}"))
    name, kind, size, scale, collation, seed, step, null, default = found.groups()
    exact, wide = kind in {"decimal", "numeric"}, _WIDE.get(kind)
    length = _FIXED.get(kind, 8) if wide is None else -1 if size == "max" else int(size) * wide
    return Column(
        unbracketed(name),
        kind,
        length,
        int(size) if exact else 0,
        int(scale if exact else size) if exact or (wide is None and size) else 0,
        nullable=null == "NULL",
        collation=collation,
        identity=None if seed is None else (seed, step),
        default=default,
    )


def cell(text: str) -> Any:
    """A literal."""
    found = _CELL.fullmatch(text)
    if found is None:
        raise Refused(Say(102, 15, f"Incorrect syntax near: {text[:100]}"))
    if found[1]:
        return None
    return bytes.fromhex(found[3]) if found[3] is not None else found[2].replace("''", "'")


def read(expression: str, table: Table) -> Read:
    """What an expression over one column gives, and as which type of the wire."""
    long = _LONG.fullmatch(expression)
    if long is None:
        return "text", hashing.value_of(expression, table)
    at = table.column(unbracketed(long[1] if long[1] is not None else long[2]))
    as_text, column = long[1] is not None, table.columns[at]
    return (
        "bytes",
        lambda row: None if row[at] is None else _wide(row[at]) if as_text else hashing.stored(row[at], column),
    )


def _wide(text: str) -> bytes:
    """What is valid in no code page has no letters to be converted to."""
    return _LOST.sub("?", text).encode("utf-16-le")


def made(expression: str, into: Column) -> Callable[[Sequence[Any]], Any]:
    """What an expression over one cell makes for a column."""
    at, convert = _converted(expression)

    def make(cells: Sequence[Any]) -> Any:
        value = None if cells[at] is None else convert(cells[at])
        wide = _WIDE.get(into.kind)
        if wide and value is not None and 0 < into.length < len(value) * wide:
            raise Refused(Say(2628, 16, f"String or binary data would be truncated in column '{into.name}'."))
        return value

    return make


def _converted(expression: str) -> tuple[int, Callable[[Any], Any]]:
    texts = {
        _NUMBER: lambda raw: raw,
        rf"CONVERT\(nvarchar\(max\), {_NUMBER}\)": _from_raw,
        rf"CONVERT\(varchar\(max\), {_NUMBER}\)": lambda raw: raw.decode(hashing.CODE_PAGE, "surrogateescape"),
        rf"CONVERT\(xml, CONVERT\(nvarchar\(max\), {_NUMBER}\), 1\)": _from_raw,
        rf"CONVERT\(uniqueidentifier, CONVERT\(varbinary\(16\), {_NUMBER}\)\)": lambda raw: UUID(bytes_le=raw),
    }
    for pattern, convert in texts.items():
        found = re.fullmatch(pattern, expression)
        if found:
            return int(found[1]) - 1, convert
    word = _WORD.fullmatch(expression)
    if word is None:
        raise Refused(Say(102, 15, f"Incorrect syntax near: {expression}"))
    kind, scale = word[1], word[3]
    return int(word[4]) - 1, lambda text: _of_text(kind, scale, text)


def _from_raw(raw: bytes) -> str:
    return raw.decode("utf-16-le", "surrogatepass")


def _of_text(kind: str, scale: str | None, text: str) -> Any:
    match kind:
        case "int" | "bigint" | "smallint" | "tinyint":
            return int(text)
        case "bit":
            return bool(int(text))
        case "decimal" | "numeric":
            value = Decimal(text)
            # more places than the type has would be rounded away
            return value if -value.as_tuple().exponent <= int(scale or 0) else round(value, int(scale or 0))  # type: ignore[operator]
        case "money" | "smallmoney":
            return Decimal(text)
        case "float" | "real":
            return float(text)
        case "date":
            return date.fromisoformat(text)
        case "datetime" | "datetime2" | "smalldatetime" | "datetimeoffset":
            return datetime.fromisoformat(text)
    raise Refused(Say(529, 16, f"Explicit conversion to {kind} is not allowed."))
