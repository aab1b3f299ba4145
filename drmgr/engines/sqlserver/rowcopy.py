"""Carries rows from one SQL Server to another: short values as texts, long ones as their bytes, nothing rounded on the way."""

import struct
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Final

from drmgr.engines.sqlserver import tablesql
from drmgr.engines.sqlserver.encode import is_text, short_form
from drmgr.engines.sqlserver.tabledef import ROW_VERSION, ColumnDefinition
from drmgr.errors import LoadError
from drmgr.interfaces import Progress
from drmgr.system.mssql import Session
from drmgr.system.mssql_names import bracketed

BATCH_ROWS: Final = 200
BATCH_CHARACTERS: Final = 256 * 1024
LONGEST_BATCH: Final = 100 * 1024 * 1024
"""Of characters: the server takes 65536 packets of 4 KiB in one statement, and each character is two bytes."""

ROWS_IN_MEMORY: Final = 10
"""Rows may be as long as the scans that a hospital keeps in them."""

_OWN_TYPES: Final = frozenset({"hierarchyid", "geometry", "geography"})
_IN_CODE_PAGE: Final = frozenset({"char", "varchar"})
_FLOATS: Final = {"float": ">d", "real": ">f"}


@dataclass(frozen=True)
class _Form:
    """How one column is read, written as a literal of the type ``wide``, and made a value of its own type again."""

    read: str
    wide: str
    written: Callable[[Any], str]
    value: str

    def literal(self, value: Any, *, first: bool) -> str:
        """The literals of the first row say what type those below them are of, or the server would guess."""
        text = "NULL" if value is None else self.written(value)
        return f"CONVERT({self.wide}, {text})" if first else text


@dataclass(frozen=True)
class TableAt:
    """A table as one session sees it, in a database of that collation."""

    session: Session
    schema: str
    table: str
    collation: str


def copy_rows(
    source: TableAt, into: TableAt, columns: Sequence[ColumnDefinition], progress: Progress, expected: int
) -> None:
    """All rows, about ``expected`` of them. Raises LoadError, Complaint."""
    act, place = into.session.act, (into.schema, into.table)
    chosen = [column for column in columns if not column.stored.derived]
    forms = [_form(column, into.collation) for column in chosen]
    values = [form.value.format(f"v.c{number}") for number, form in enumerate(forms, 1)]
    head = tablesql.lay_rows(*place, [column.name for column in chosen], values)
    end = tablesql.lay_rows_end(len(forms))
    read = tablesql.read_rows(source.schema, source.table, [form.read for form in forms])
    numbered = any(column.identity is not None for column in chosen)
    if numbered:
        act(tablesql.own_numbers(*place, on=True))
    done = 0
    for batch in _batches(source.session.stream(read, ROWS_IN_MEMORY), forms):
        act(f"{head}{', '.join(batch)}{end}")
        done += len(batch)
        progress(0.05 + 0.55 * min(1.0, done / max(1, expected)), "rows")
    if numbered:
        act(tablesql.own_numbers(*place, on=False))


def _batches(rows: Iterator[tuple[Any, ...]], forms: Sequence[_Form]) -> Iterator[list[str]]:
    """As many rows as go into one statement, each as it stands in there."""
    batch: list[str] = []
    size = 0
    for row in rows:
        first = not batch
        text = ", ".join(form.literal(value, first=first) for form, value in zip(forms, row, strict=True))
        if len(text) > LONGEST_BATCH:
            raise LoadError("a row is longer than the live server takes in one statement")
        batch.append(f"({text})")
        size += len(text)
        if size >= BATCH_CHARACTERS or len(batch) == BATCH_ROWS:
            yield batch
            batch, size = [], 0
    if batch:
        yield batch


def _form(column: ColumnDefinition, collation: str) -> _Form:
    kind, short = column.stored.kind, short_form(column.stored)
    if short is None:
        # bytes become a text of the database's own collation, whether they are valid in it or not
        as_stored = kind in _IN_CODE_PAGE and column.collation == collation
        return _long_form(bracketed(column.name), kind, as_stored=as_stored)
    if kind in _FLOATS:
        return _Form(short, "varchar(max)", lambda raw: f"'{_float(kind, raw)!r}'", f"CONVERT({kind}, {{}})")
    if kind == ROW_VERSION:
        return _Form(short, "varbinary(max)", _hex, "{}")
    if kind == "uniqueidentifier":
        return _Form(short, "varbinary(max)", _hex, "CONVERT(uniqueidentifier, CONVERT(varbinary(16), {}))")
    style = ", 121" if short.endswith(", 121)") else ""
    return _Form(short, "varchar(max)", _quoted, f"CONVERT({column.word}, {{}}{style})")


def _long_form(name: str, kind: str, *, as_stored: bool) -> _Form:
    if as_stored:
        return _Form(f"CONVERT(varbinary(max), {name})", "varbinary(max)", _bytes, "CONVERT(varchar(max), {})")
    if is_text(kind):
        text = "CONVERT(nvarchar(max), {})"
        # style 1 keeps the white space of a document
        value = f"CONVERT(xml, {text}, 1)" if kind == "xml" else text
        return _Form(f"CONVERT(varbinary(max), {text.format(name)})", "varbinary(max)", _bytes, value)
    value = f"CONVERT({kind}, {{}})" if kind in _OWN_TYPES else "{}"
    return _Form(f"CONVERT(varbinary(max), {name})", "varbinary(max)", _bytes, value)


def _quoted(value: str) -> str:
    return "'" + value.replace("'", "''") + "'"


def _hex(value: str) -> str:
    return f"0x{value}"


def _bytes(value: bytes) -> str:
    return f"0x{value.hex()}"


def _float(kind: str, value: str) -> float:
    """The very number: the server's own text of it has too few digits."""
    found: float = struct.unpack(_FLOATS[kind], bytes.fromhex(value))[0]
    return found
