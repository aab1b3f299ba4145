"""One way to talk to the databases of the synthetic systems, whichever engine each runs on."""

import os
import sqlite3
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, closing, contextmanager
from datetime import date, datetime
from decimal import Decimal
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

from drmgr.demo.loading import BatchSink, as_text, copy_rows
from drmgr.demo.tables import Dialect, Row, Table, columns_of, finishing, making, names_of
from drmgr.errors import SourceError

if TYPE_CHECKING:
    import psycopg

    from drmgr.demo.database import ProductionServer
    from drmgr.demo.mariadb import ProductionMariadb

ASKED_ROWS = 2_000


class Session(Protocol):
    """A connection of the system's owner, in one transaction."""

    dialect: Dialect

    def run(self, statement: str) -> None: ...

    def ask(self, query: str) -> Iterator[Row]:
        """The rows, streamed."""

    def write(self, table: str, columns: Sequence[str], rows: Sequence[Row]) -> None:
        """Adds many rows."""

    def commit(self) -> None:
        """Ends the transaction well and begins the next."""


class Database(Protocol):
    """One system's own database."""

    def open(self) -> AbstractContextManager[Session]:
        """A session: committed at the block's end, rolled back on an error."""


def make_tables(session: Session, tables: Sequence[Table]) -> None:
    """The tables, empty and without indexes."""
    for table in tables:
        session.run(making(table, session.dialect))


def finish_tables(session: Session, tables: Sequence[Table]) -> None:
    """Keys, references and indexes, and the next id of each table."""
    for table in tables:
        for statement in finishing(table, session.dialect):
            session.run(statement)
    advance(session, tables)


def advance(session: Session, tables: Sequence[Table]) -> None:
    """Brings PostgreSQL's sequences up to the highest id, for rows that came with their own. Others do so themselves."""
    if session.dialect != "postgresql":
        return
    for table in tables:
        if table.key == "id":
            name = table.name
            one(session, f"SELECT setval(pg_get_serial_sequence('{name}', 'id'), max(id)) FROM {name}")  # noqa: S608


def sink_into(session: Session, tables: Sequence[Table]) -> BatchSink:
    """A sink of these tables' rows."""
    return BatchSink(names_of(tables), session.write)


def highest(session: Session, tables: Sequence[Table]) -> Mapping[type, int]:
    """The highest id in use by row type."""
    return {
        table.row: one(session, f"SELECT coalesce(max(id), 0) FROM {table.name}")  # noqa: S608
        for table in tables
        if columns_of(table.row)[0] == "id"
    }


def one(session: Session, query: str) -> Any:
    """The first value of the first row, None when there is none."""
    rows = list(session.ask(query))
    return rows[0][0] if rows else None


class PostgresSession:
    dialect: Dialect = "postgresql"

    def __init__(self, connection: "psycopg.Connection") -> None:
        self.connection = connection
        self._asked = 0

    def run(self, statement: str) -> None:
        self.connection.execute(statement.encode())

    def ask(self, query: str) -> Iterator[Row]:
        self._asked += 1
        with self.connection.cursor(name=f"asked_{self._asked}") as cursor:
            cursor.itersize = ASKED_ROWS
            cursor.execute(query.encode())
            yield from cursor

    def write(self, table: str, columns: Sequence[str], rows: Sequence[Row]) -> None:
        copy_rows(self.connection, table, columns, rows)

    def commit(self) -> None:
        self.connection.commit()


class PostgresDatabase:
    """A database of the demo's PostgreSQL, opened as its owner."""

    def __init__(self, server: "ProductionServer", name: str) -> None:
        self._server = server
        self._name = name

    @contextmanager
    def open(self) -> Iterator[Session]:
        with self._server.connect(self._name, f"{self._name}_owner") as connection:
            yield PostgresSession(connection)


class MariadbSession:
    dialect: Dialect = "mariadb"

    def __init__(self, connection: Any) -> None:
        self.connection = connection

    def run(self, statement: str) -> None:
        with self.connection.cursor() as cursor:
            cursor.execute(statement)

    def ask(self, query: str) -> Iterator[Row]:
        with self.connection.cursor() as cursor:
            cursor.execute(query)
            yield from cursor.fetchall()

    def write(self, table: str, columns: Sequence[str], rows: Sequence[Row]) -> None:
        handle, name = tempfile.mkstemp(prefix="drmgr-load-")
        try:
            with os.fdopen(handle, "wb") as file:
                file.writelines(as_text(rows, local_time))
            with self.connection.cursor() as cursor:
                cursor.execute(
                    f"LOAD DATA LOCAL INFILE '{name}' INTO TABLE {table} CHARACTER SET utf8mb4 ({', '.join(columns)})"
                )
            # LOCAL cuts what does not fit, and only warns
            if self.connection.show_warnings():
                raise SourceError(f"rows did not fit into the table {table}")
        finally:
            Path(name).unlink()

    def commit(self) -> None:
        self.connection.commit()


class MariadbDatabase:
    """A database of the demo's MariaDB, opened as its owner."""

    def __init__(self, server: "ProductionMariadb", name: str) -> None:
        self._server = server
        self._name = name

    @contextmanager
    def open(self) -> Iterator[Session]:
        with self._server.connect(self._name, f"{self._name}_owner") as connection:
            yield MariadbSession(connection)


class SqliteSession:
    dialect: Dialect = "sqlite"

    def __init__(self, connection: sqlite3.Connection) -> None:
        self.connection = connection

    def run(self, statement: str) -> None:
        self.connection.execute(statement)

    def ask(self, query: str) -> Iterator[Row]:
        yield from self.connection.execute(query)

    def write(self, table: str, columns: Sequence[str], rows: Sequence[Row]) -> None:
        places = ", ".join("?" * len(columns))
        statement = f"INSERT INTO {table} ({', '.join(columns)}) VALUES ({places})"  # noqa: S608 - our own names
        self.connection.executemany(statement, ([sqlite_value(value) for value in row] for row in rows))

    def commit(self) -> None:
        self.connection.execute("COMMIT")
        # takes the lock with its first write, so that others may write in between
        self.connection.execute("BEGIN")


class SqliteDatabase:
    """A database file; in WAL mode, as a program of today leaves it."""

    def __init__(self, path: Path) -> None:
        self.path = path

    @contextmanager
    def open(self) -> Iterator[Session]:
        fresh = not self.path.exists()
        with closing(
            sqlite3.connect(self.path, timeout=60, isolation_level=None, check_same_thread=False)
        ) as connection:
            if fresh:
                connection.execute("PRAGMA journal_mode = WAL")
            connection.execute("BEGIN IMMEDIATE")
            try:
                yield SqliteSession(connection)
            except BaseException:
                connection.execute("ROLLBACK")
                raise
            connection.execute("COMMIT")


def local_time(instant: datetime) -> str:
    """As a DATETIME column takes it: the hospital's own clock, without a zone."""
    from drmgr.demo.his import LOCAL

    return instant.astimezone(LOCAL).replace(tzinfo=None, microsecond=0).isoformat(" ")


def sqlite_value(value: object) -> object:
    """A value as SQLite keeps it: times in the hospital's own, as ISO text."""
    if isinstance(value, datetime):
        return local_time(value)
    if isinstance(value, date):
        return value.isoformat()
    return float(value) if isinstance(value, Decimal) else value


def database_errors() -> tuple[type[Exception], ...]:
    """What the databases' own libraries raise."""
    import psycopg
    import pymysql

    return psycopg.Error, pymysql.Error, sqlite3.Error
