"""Carries rows from one MariaDB server to another, byte by byte as they are stored."""

# ruff: noqa: S608 - names are quoted by ``quoted``, values by ``_literal``

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, Final

from pymysql.cursors import SSCursor

from drmgr.engines.mariadb.connection import Session, quoted, run
from drmgr.errors import LoadError
from drmgr.interfaces import Progress

BATCH_ROWS: Final = 1000
STATEMENT_BYTES: Final = 1024 * 1024
_OVERHEAD: Final = 4096

_NUMBERS: Final = frozenset(
    {"tinyint", "smallint", "mediumint", "int", "bigint", "decimal", "float", "double", "year"},
)
_WORDS: Final = frozenset({"date", "time", "datetime", "timestamp", "uuid", "inet4", "inet6"})

Columns = Sequence[tuple[str, str]]
"""(name, data type) of each."""


@dataclass(frozen=True)
class Place:
    """A table as one session sees it."""

    session: Session
    database: str
    table: str

    @property
    def quoted(self) -> str:
        return quoted(self.database, self.table)


def copy_rows(source: Place, into: Place, columns: Columns, progress: Progress, expected: int) -> None:
    """All rows, about ``expected`` of them. Raises LoadError, pymysql.Error."""
    target = into.session
    ((limit,),) = run(target, "SELECT @@max_allowed_packet")
    # a zero in a column that numbers itself is a zero
    run(target, "SET SESSION sql_mode = 'NO_AUTO_VALUE_ON_ZERO'")
    names = ", ".join(quoted(name) for name, _ in columns)
    head = f"INSERT INTO {into.quoted} ({names}) VALUES ".encode()
    kinds = [kind for _, kind in columns]
    batch, size, done = bytearray(head), 0, 0
    for row in _rows(source, columns):
        text = b"(" + b",".join(map(_literal, row, kinds)) + b")"
        if len(text) + len(head) + _OVERHEAD > limit:
            raise LoadError(
                "a row is longer than the live server takes in one statement",
                hint="raise max_allowed_packet of the live server for the time being",
            )
        if size and len(batch) + len(text) + _OVERHEAD > min(STATEMENT_BYTES, limit):
            _send(target, batch)
            batch, done, size = bytearray(head), done + size, 0
            progress(0.05 + 0.75 * min(1.0, done / max(1, expected)), "rows")
        batch += (b"," if size else b"") + text
        size += 1
    if size:
        _send(target, batch)


def _send(target: Session, statement: bytearray) -> None:
    # the bytes themselves: through a cursor they would have to be a text
    target.query(bytes(statement))


def _rows(source: Place, columns: Columns) -> Iterator[tuple[bytes | None, ...]]:
    # the text of a FLOAT has six digits, that of the same number as a DOUBLE has all
    chosen = ", ".join(f"CAST({quoted(name)} AS DOUBLE)" if kind == "float" else quoted(name) for name, kind in columns)
    with _as_stored(source.session), source.session.cursor(SSCursor) as cursor:
        cursor.execute(f"SELECT {chosen} FROM {source.quoted}")
        while batch := cursor.fetchmany(BATCH_ROWS):
            yield from batch


@contextmanager
def _as_stored(source: Session) -> Iterator[None]:
    """Inside the block every value comes as the bytes that are stored, or as the text of a number or time."""
    run(source, "SET SESSION character_set_results = NULL")
    decoders: Any = source.decoders
    source.use_unicode, source.decoders = False, {}
    try:
        yield
    finally:
        source.use_unicode, source.decoders = True, decoders


def _literal(value: bytes | None, kind: str) -> bytes:
    if value is None:
        return b"NULL"
    if kind in _NUMBERS:
        return value
    if kind in _WORDS:
        return b"'" + value + b"'"
    return b"_binary'" + value.replace(b"\\", b"\\\\").replace(b"'", b"\\'") + b"'"
