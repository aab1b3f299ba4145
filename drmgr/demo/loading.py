"""Rows into a database in batches, so that memory does not grow with the hospital; by COPY and its kin."""

from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from datetime import datetime
from importlib.resources import files
from typing import TYPE_CHECKING

from drmgr.demo.tables import Row, columns_of

if TYPE_CHECKING:
    import psycopg

BATCH_ROWS = 20_000
CHUNK_LINES = 2_000

Tables = Mapping[type[Row], str]
"""Row types in an order in which every reference points backwards, and the table of each."""


class BatchSink:
    """Takes in rows of many tables; ``write`` gets them table by table: name, columns, rows.

    ``write`` is called in a thread of its own, one batch behind the rows that come in, until ``flush``. So the database
    works on one batch while the next is made; nothing else may use its connection meanwhile.
    """

    def __init__(self, tables: Tables, write: Callable[[str, Sequence[str], Sequence[Row]], None]) -> None:
        self._writer: ThreadPoolExecutor | None = None
        self._underway: Future[None] | None = None
        self._tables = tables
        self._write_rows = write
        self._rows: dict[type[Row], list[Row]] = defaultdict(list)
        self._waiting = 0
        self.counts: dict[str, int] = defaultdict(int)

    def add(self, row: Row) -> None:
        self._rows[type(row)].append(row)
        self._waiting += 1
        if self._waiting >= BATCH_ROWS:
            self._hand_over()

    def flush(self) -> None:
        """Writes what has come in so far, inside the connection's transaction, and returns when all of it is written."""
        self._settle()
        self._write_all(self._taken())
        if self._writer is not None:
            self._writer.shutdown()
            self._writer = None

    def _hand_over(self) -> None:
        self._settle()
        self._writer = self._writer or ThreadPoolExecutor(1)
        self._underway = self._writer.submit(self._write_all, self._taken())

    def _settle(self) -> None:
        underway, self._underway = self._underway, None
        if underway is not None:
            underway.result()

    def _taken(self) -> dict[type[Row], list[Row]]:
        taken, self._rows, self._waiting = self._rows, defaultdict(list), 0
        return taken

    def _write_all(self, taken: Mapping[type[Row], list[Row]]) -> None:
        for kind, table in self._tables.items():
            rows = taken.get(kind)
            if rows:
                self.counts[table] += len(rows)
                self._write(kind, table, rows)

    def _write(self, kind: type[Row], table: str, rows: Sequence[Row]) -> None:
        self._write_rows(table, columns_of(kind), rows)


class CopySink(BatchSink):
    """Into PostgreSQL by COPY.

    ``added`` names row types whose rows are added to those that are there: key column, then the columns that are summed.
    """

    def __init__(
        self,
        connection: "psycopg.Connection",
        tables: Tables,
        added: Mapping[type[Row], tuple[str, Sequence[str]]] | None = None,
    ) -> None:
        super().__init__(tables, lambda table, columns, rows: copy_rows(connection, table, columns, rows))
        self._connection = connection
        self._added = added or {}

    def _write(self, kind: type[Row], table: str, rows: Sequence[Row]) -> None:
        if kind in self._added:
            self._add_to(table, columns_of(kind), rows, *self._added[kind])
        else:
            super()._write(kind, table, rows)

    def _add_to(self, table: str, columns: Sequence[str], rows: Sequence[Row], key: str, summed: Sequence[str]) -> None:
        from psycopg import sql

        changes = [
            sql.SQL("{0} = {1}.{0} + excluded.{0}" if column in summed else "{0} = excluded.{0}").format(
                sql.Identifier(column), sql.Identifier(table)
            )
            for column in columns
            if column != key
        ]
        statement = sql.SQL("INSERT INTO {} ({}) VALUES ({}) ON CONFLICT ({}) DO UPDATE SET {}").format(
            sql.Identifier(table),
            sql.SQL(", ").join(map(sql.Identifier, columns)),
            sql.SQL(", ").join(sql.Placeholder() * len(columns)),
            sql.Identifier(key),
            sql.SQL(", ").join(changes),
        )
        with self._connection.cursor() as cursor:
            cursor.executemany(statement, rows)


def copy_rows(connection: "psycopg.Connection", table: str, columns: Sequence[str], rows: Sequence[Row]) -> None:
    """Adds the rows by COPY, inside the connection's transaction."""
    from psycopg import sql

    names = sql.SQL(", ").join(map(sql.Identifier, columns))
    statement = sql.SQL("COPY {} ({}) FROM STDIN").format(sql.Identifier(table), names)
    with connection.cursor() as cursor, cursor.copy(statement) as copy:
        for chunk in as_text(rows, str):
            copy.write(chunk)


def as_text(rows: Sequence[Row], instant: Callable[[datetime], str]) -> Iterator[bytes]:
    """The rows as COPY and LOAD DATA read them, tabs between; ``instant`` writes a time.

    Column by column, for that is several times faster than value by value.
    """
    for first in range(0, len(rows), CHUNK_LINES):
        columns = zip(*rows[first : first + CHUNK_LINES], strict=True)
        lines = zip(*(_texts(column, instant) for column in columns), strict=True)
        yield ("\n".join(map("\t".join, lines)) + "\n").encode()


def _texts(column: Sequence[object], instant: Callable[[datetime], str]) -> Iterable[str]:
    if None in column:
        return [r"\N" if value is None else next(iter(_texts((value,), instant))) for value in column]
    first = column[0]
    if isinstance(first, str):
        return [_escaped(value) for value in column if isinstance(value, str)]
    if isinstance(first, bool):
        return ["1" if value else "0" for value in column]
    if isinstance(first, datetime):
        return [instant(value) for value in column if isinstance(value, datetime)]
    return map(str, column)


def _escaped(text: str) -> str:
    if text.isprintable() and "\\" not in text:
        return text
    return text.replace("\\", "\\\\").replace("\t", "\\t").replace("\n", "\\n").replace("\r", "\\r")


def run_script(connection: "psycopg.Connection", name: str) -> None:
    """Runs one of the scripts beside this module, inside the connection's transaction."""
    script = files("drmgr.demo").joinpath("sql", name).read_bytes()
    # without parameters the server takes many statements at once
    connection.execute(script)


def last_ids(connection: "psycopg.Connection", tables: Tables) -> dict[type, int]:
    """The highest id in use by row type."""
    from psycopg import sql

    found: dict[type, int] = {}
    for kind, table in tables.items():
        if columns_of(kind)[0] == "id":
            row = connection.execute(sql.SQL("SELECT coalesce(max(id), 0) FROM {}").format(sql.Identifier(table)))
            found[kind] = int((row.fetchone() or (0,))[0])
    return found


def advance_sequences(connection: "psycopg.Connection", tables: Tables) -> None:
    """Brings each identity sequence up to the highest id, for rows that came with their own."""
    for kind, last in last_ids(connection, tables).items():
        if last:
            connection.execute("SELECT setval(pg_get_serial_sequence(%s, 'id'), %s)", (tables[kind], last))
