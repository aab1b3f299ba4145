"""What HASHBYTES over a row comes to: the expressions that drmgr sends, worked out here from their text."""

import hashlib
import re
import struct
from collections.abc import Callable, Iterator, Sequence
from datetime import date, datetime
from decimal import Decimal
from typing import Any
from uuid import UUID

from tests.support.tds.store import Column, Table

CODE_PAGE = "gbk"
"""That of every collation that the samples have."""

_NAME = r"\[((?:[^\]]|\]\])*)\]"
_ITEM = re.compile(r"COALESCE\('V' \+ (.*?) \+ ',', 'N,'\)(?: \+ |$)")
_START = "CONVERT(varchar(max), '') + "
_FORMS = (
    (re.compile(rf"CONVERT\(varchar\(50\), {_NAME}\)"), "plain"),
    (re.compile(rf"CONVERT\(varchar\(50\), {_NAME}, 2\)"), "money"),
    (re.compile(rf"CONVERT\(varchar\(50\), {_NAME}, 121\)"), "time"),
    (re.compile(rf"CONVERT\(varchar\(50\), CONVERT\(varbinary\(16\), {_NAME}\), 2\)"), "raw"),
    (
        re.compile(rf"CONVERT\(varchar\(64\), HASHBYTES\('SHA2_256', CONVERT\(varbinary\(max\), {_NAME}\)\), 2\)"),
        "hash",
    ),
    (
        re.compile(
            r"CONVERT\(varchar\(64\), HASHBYTES\('SHA2_256', CONVERT\(varbinary\(max\), "
            rf"CONVERT\(n?varchar\(max\), {_NAME}\)\)\), 2\)"
        ),
        "hash",
    ),
)


def sums(table: Table, expression: str) -> tuple[int, int]:
    """The two sums. Raises ValueError for an expression that is not understood."""
    first = second = 0
    for digest in digests(table, expression):
        first += int.from_bytes(digest[:7], "big")
        second += int.from_bytes(digest[7:14], "big")
    return first, second


def digests(table: Table, expression: str) -> Iterator[bytes]:
    """The SHA-256 of each row's text. Raises ValueError for an expression that is not understood."""
    if not expression.startswith(_START):
        raise ValueError(expression)
    rest = expression.removeprefix(_START)
    items = _ITEM.findall(rest)
    if "".join(f"COALESCE('V' + {item} + ',', 'N,') + " for item in items) != rest + " + ":
        raise ValueError(rest)
    forms = [value_of(item, table) for item in items]
    for row in table.rows:
        values = (form(row) for form in forms)
        text = "".join("N," if value is None else f"V{value}," for value in values)
        yield hashlib.sha256(text.encode()).digest()


def value_of(item: str, table: Table) -> Callable[[Sequence[Any]], str | None]:
    """What one such expression comes to in a row. Raises ValueError for one that is not understood."""
    for pattern, how in _FORMS:
        found = pattern.fullmatch(item)
        if found:
            at = table.column(found[1].replace("]]", "]"))
            single = table.columns[at].kind == "real"
            if how == "hash":
                return lambda row: None if row[at] is None else _hashed(stored(row[at], table.columns[at]))
            return lambda row: None if row[at] is None else _encoded(how, row[at], ">f" if single else ">d")
    raise ValueError(item)


def stored(value: Any, column: Column) -> bytes:
    """The bytes of a text or of bytes. A varchar may hold some that are valid in no code page."""
    if isinstance(value, bytes):
        return value
    if column.kind in {"char", "varchar"}:
        return str(value).encode(CODE_PAGE, "surrogateescape")
    return str(value).encode("utf-16-le", "surrogatepass")


def _hashed(raw: bytes) -> str:
    return hashlib.sha256(raw).hexdigest().upper()


def _encoded(how: str, value: Any, packed: str) -> str:
    match how:
        case "plain":
            return str(int(value)) if isinstance(value, bool | int) else str(value)
        case "money":
            return f"{Decimal(value):.4f}"
        case "time":
            assert isinstance(value, date)
            return value.isoformat(sep=" ") if isinstance(value, datetime) else value.isoformat()
        case "raw":
            if isinstance(value, UUID):
                value = value.bytes_le
            raw = value if isinstance(value, bytes) else struct.pack(packed, value)
            return raw.hex().upper()
    raise AssertionError(how)
