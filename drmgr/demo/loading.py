"""Rows into PostgreSQL by COPY, in batches, so that memory does not grow with the hospital."""

from collections import defaultdict
from collections.abc import Mapping, Sequence
from importlib.resources import files
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import psycopg

BATCH_ROWS = 20_000

Tables = Mapping[type[tuple[object, ...]], str]
Row = tuple[object, ...]


class CopySink:
    """Takes in rows of many tables and writes them table by table; ``tables`` are in the order of their references.

    ``added`` names row types whose rows are added to those that are there: key column, then the columns that are summed.
    """

    def __init__(
        self,
        connection: "psycopg.Connection",
        tables: Tables,
        added: Mapping[type[Row], tuple[str, Sequence[str]]] | None = None,
    ) -> None:
        self._connection = connection
        self._tables = tables
        self._added = added or {}
        self._rows: dict[type[Row], list[Row]] = defaultdict(list)
        self._waiting = 0
        self.counts: dict[str, int] = defaultdict(int)

    def add(self, row: Row) -> None:
        self._rows[type(row)].append(row)
        self._waiting += 1
        if self._waiting >= BATCH_ROWS:
            self.flush()

    def flush(self) -> None:
        """Writes what has come in so far, inside the connection's transaction."""
        for kind, table in self._tables.items():
            rows = self._rows.pop(kind, [])
            if not rows:
                continue
            self.counts[table] += len(rows)
            if kind in self._added:
                self._add_to(table, columns_of(kind), rows, *self._added[kind])
            else:
                self._copy(table, columns_of(kind), rows)
        self._waiting = 0

    def _copy(self, table: str, columns: Sequence[str], rows: Sequence[Row]) -> None:
        from psycopg import sql

        names = sql.SQL(", ").join(map(sql.Identifier, columns))
        statement = sql.SQL("COPY {} ({}) FROM STDIN").format(sql.Identifier(table), names)
        with self._connection.cursor() as cursor, cursor.copy(statement) as copy:
            for row in rows:
                copy.write_row(row)

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


def columns_of(kind: type[Row]) -> tuple[str, ...]:
    """The column names of a row type."""
    names: tuple[str, ...] = getattr(kind, "_fields")  # noqa: B009 - tuple itself has none, every row type has
    return names


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
