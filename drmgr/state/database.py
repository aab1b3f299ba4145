"""The database behind the catalog: opening, bringing its schema up to date, and saying plainly what is wrong with it."""

import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from filelock import FileLock, Timeout
from sqlalchemy import URL, Connection, Engine, create_engine, event, inspect, make_url, text
from sqlalchemy.exc import ArgumentError, DBAPIError, SQLAlchemyError
from sqlalchemy.pool import NullPool

from drmgr.errors import ConfigError, PreflightError
from drmgr.state.marks import state_unusable

REVISIONS = ("0001", "0002", "0003", "0004", "0005")
"""Every schema revision this drmgr knows, oldest first; kept here so that an up-to-date catalog opens without Alembic."""

SQLITE_FILE = "catalog.db"
WAIT_SECONDS = 30.0
ADVISORY_LOCK = 0x64726D6772
"""The number drmgr's PostgreSQL catalogs are locked under while their schema changes."""

_MOVE_AWAY = "move the file away: drmgr makes a new catalog and reads recovery points from the repositories"
_SQLITE_PROBLEMS = {
    sqlite3.SQLITE_FULL: ("the disk that holds the catalog is full", "free some space in {place}"),
    sqlite3.SQLITE_READONLY: ("the catalog cannot be written", "give drmgr's account the right to write in {place}"),
    sqlite3.SQLITE_CANTOPEN: ("the catalog cannot be opened", "give drmgr's account the right to write in {place}"),
    sqlite3.SQLITE_PERM: ("the catalog cannot be opened", "give drmgr's account the right to write in {place}"),
    sqlite3.SQLITE_IOERR: ("the disk that holds the catalog fails", "look at the disk below {place}"),
    sqlite3.SQLITE_CORRUPT: ("the catalog is damaged", _MOVE_AWAY + ": {place}/" + SQLITE_FILE),
    sqlite3.SQLITE_NOTADB: ("the catalog is damaged", _MOVE_AWAY + ": {place}/" + SQLITE_FILE),
    sqlite3.SQLITE_BUSY: ("the catalog is busy with another process", "look for a process that holds {place} open"),
}


class Database:
    """One open catalog database. ``reading()`` and ``writing()`` are transactions; no SQLAlchemy error leaves them."""

    def __init__(self, engine: Engine, state_dir: Path) -> None:
        self._reader = engine
        self._writer = engine.execution_options(drmgr_immediate=True)
        self.state_dir = state_dir
        self.dialect = engine.dialect.name

    @contextmanager
    def reading(self) -> Iterator[Connection]:
        """A transaction that only reads. Raises PreflightError."""
        with self._mapped(), self._reader.begin() as connection:
            yield connection

    @contextmanager
    def writing(self) -> Iterator[Connection]:
        """A transaction that is durable once the block is left, and undone by any exception. Raises PreflightError."""
        with self._mapped(), self._writer.begin() as connection:
            yield connection

    def close(self) -> None:
        self._reader.dispose()

    def bring_up_to_date(self) -> None:
        """Migrates to the newest schema, safely beside others who do the same. Raises PreflightError."""
        if self._is_current():
            return
        if self.dialect == "sqlite":
            with self._sqlite_migration_lock():
                self._prepare_sqlite_file()
                with self.writing() as connection:
                    _migrate(connection)
        else:
            with self.writing() as connection:
                connection.execute(text("SELECT pg_advisory_xact_lock(:number)"), {"number": ADVISORY_LOCK})
                _migrate(connection)

    def _is_current(self) -> bool:
        if self.dialect == "sqlite" and not (self.state_dir / SQLITE_FILE).exists():
            return False
        with self.reading() as connection:
            return _revision(connection) == REVISIONS[-1]

    @contextmanager
    def _sqlite_migration_lock(self) -> Iterator[None]:
        try:
            self.state_dir.mkdir(parents=True, exist_ok=True)
            lock = FileLock(self.state_dir / ".catalog-migration.lock", timeout=WAIT_SECONDS, mode=0o600)
            with lock:
                yield
        except Timeout as error:
            raise PreflightError(
                "another process has been changing the catalog's schema for too long",
                hint=f"look for a drmgr that hangs, then try again; the catalog is in {self.state_dir}",
            ) from error
        except OSError as error:
            raise state_unusable(self.state_dir, error) from error

    def _prepare_sqlite_file(self) -> None:
        # SQLite gives its side files the mode of the main one
        (self.state_dir / SQLITE_FILE).touch(mode=0o600)
        with self._mapped():
            raw = self._reader.raw_connection()
            try:
                raw.cursor().execute("PRAGMA journal_mode=WAL")
            except sqlite3.Error as error:
                raise self._refused(error) from error
            finally:
                raw.close()

    @contextmanager
    def _mapped(self) -> Iterator[None]:
        try:
            yield
        except DBAPIError as error:
            raise self._refused(error.orig) from error
        except SQLAlchemyError as error:
            raise PreflightError(f"the catalog cannot be used: {type(error).__name__}", hint=self._hint()) from error
        except sqlite3.Error as error:  # the settings of a new connection are made on the driver's own objects
            raise self._refused(error) from error

    def _hint(self) -> str:
        if self.dialect == "sqlite":
            return f"the catalog lies in the state directory {self.state_dir}; if it cannot be mended, {_MOVE_AWAY}"
        return (
            "is the PostgreSQL server of the setting catalog up, and may drmgr log in? without that setting drmgr "
            f"keeps its catalog in the state directory {self.state_dir}"
        )

    def _refused(self, error: BaseException | None) -> PreflightError:
        if isinstance(error, sqlite3.Error):
            code = getattr(error, "sqlite_errorcode", 0) & 0xFF
            sentence, hint = _SQLITE_PROBLEMS.get(code, (f"the catalog cannot be used: {error}", self._hint()))
            return PreflightError(sentence, hint=hint.format(place=self.state_dir))
        reason = (str(error).strip() or "no reason given").splitlines()[0]
        return PreflightError(f"the catalog's database refused: {reason}", hint=self._hint())


def open_database(url: str | None, state_dir: Path) -> Database:
    """The catalog's database, at ``url`` or as SQLite in ``state_dir``, with its schema up to date.

    Raises ConfigError for a url that is not PostgreSQL's, PreflightError when the database cannot be used.
    """
    if url is None:
        engine = sqlite_engine(state_dir / SQLITE_FILE)
    else:
        engine = create_engine(
            _postgres_url(url),
            poolclass=NullPool,  # hours may lie between two uses; a kept connection would be cut by then
            hide_parameters=True,
            connect_args={"connect_timeout": 10, "application_name": "drmgr"},
        )
    database = Database(engine, state_dir)
    database.bring_up_to_date()
    return database


def sqlite_engine(file: Path) -> Engine:
    """Connections to the SQLite file with drmgr's settings: durable commits, real transactions, waiting for a turn."""
    engine = create_engine(
        URL.create("sqlite", database=str(file)),
        poolclass=NullPool,
        hide_parameters=True,
        connect_args={"timeout": WAIT_SECONDS},
    )

    @event.listens_for(engine, "connect")
    def settings(connection: sqlite3.Connection, record: object) -> None:
        # the driver opens transactions late and not for DDL; drmgr opens its own
        connection.isolation_level = None
        connection.execute("PRAGMA synchronous=FULL")
        connection.execute("PRAGMA foreign_keys=ON")

    @event.listens_for(engine, "begin")
    def begin(connection: Connection) -> None:
        # a writer that asks for the lock first waits its turn; one that asks half-way is refused without waiting
        immediate = connection.get_execution_options().get("drmgr_immediate", False)
        connection.exec_driver_sql("BEGIN IMMEDIATE" if immediate else "BEGIN")

    return engine


def _postgres_url(text_url: str) -> URL:
    try:
        url = make_url(text_url)
    except (ArgumentError, ValueError):
        # the text may hold a password, so it is not shown, and the error behind it neither
        raise _wrong_url() from None
    if url.drivername not in {"postgresql", "postgresql+psycopg"}:
        raise _wrong_url()
    return url.set(drivername="postgresql+psycopg")


def _wrong_url() -> ConfigError:
    return ConfigError(
        "the catalog's address is not that of a PostgreSQL database",
        hint="write it as postgresql+psycopg://USER:PASSWORD@HOST:PORT/DATABASE in the secret that catalog refers to",
    )


def _revision(connection: Connection) -> str | None:
    """The schema's revision; None for a database without drmgr's tables. Raises PreflightError for one from the future."""
    if not inspect(connection).has_table("alembic_version"):
        return None
    revision = connection.execute(text("SELECT version_num FROM alembic_version")).scalar()
    if revision is not None and revision not in REVISIONS:
        raise PreflightError(
            f"the catalog was written by a newer drmgr (schema {revision}, this one knows {REVISIONS[-1]})",
            hint="install the newer drmgr again, or point state (or catalog) in the site file at a fresh place",
        )
    return str(revision) if revision is not None else None


def _migrate(connection: Connection) -> None:
    # another process may have done it while we waited for the lock
    if _revision(connection) == REVISIONS[-1]:
        return
    from alembic import command
    from alembic.config import Config
    from alembic.util import CommandError

    config = Config()
    folder = Path(__file__).with_name("migrations")
    config.set_main_option("script_location", str(folder).replace("%", "%%"))
    config.attributes["connection"] = connection
    try:
        command.upgrade(config, "head")
    except CommandError as error:
        raise PreflightError(f"the catalog's schema cannot be brought up to date: {error}") from error
