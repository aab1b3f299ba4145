"""Loads a dump into an empty instance."""

import re
import subprocess
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import replace
from pathlib import Path

import psycopg
from psycopg import sql

from drmgr.engines.postgres.connection import Endpoint, Session, connect, safe_message, safe_text, told
from drmgr.engines.postgres.roles import apply_roles, statements, unquoted
from drmgr.errors import LoadError, PreflightError
from drmgr.interfaces import Progress
from drmgr.system.command import Command, Completed, Runner

MAINTENANCE = "template1"

_TABLES_SHARE, _LOADED_SHARE = 0.05, 0.9

POLL_SECONDS = 0.2

OCCUPIED = """
SELECT pg_catalog.count(*) FROM pg_catalog.pg_class c JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
WHERE c.relkind IN ('r', 'p', 'm', 'v', 'f', 'S') AND n.nspname !~ '^pg_' AND n.nspname <> 'information_schema'
AND NOT EXISTS (SELECT FROM pg_catalog.pg_depend d WHERE d.deptype = 'e' AND d.objid = c.oid)"""


class Loader:
    """Loads one dump with one set of programs."""

    def __init__(self, runner: Runner, pg_restore: Path, vacuumdb: Path, jobs: int) -> None:
        self._runner = runner
        self._pg_restore = pg_restore
        self._vacuumdb = vacuumdb
        self._jobs = jobs

    def load(self, restored: Path, into: Endpoint, progress: Progress) -> Endpoint:
        """Roles, then the database, then its statistics. Raises LoadError, PreflightError."""
        dump = _the_dump(restored / "dump")
        progress(0.0, "reading the dump")
        name = self._archived_database(dump)
        database, create = self._choose_database(into, name)
        progress(0.02, "roles")
        self._roles(into, database, create=create, script=restored / "globals" / "globals.sql")
        progress(_TABLES_SHARE, "tables")
        self._restore(dump, into, database, progress, create=create)
        loaded = replace(into, database=database)
        if not create:
            self._database_settings(dump, loaded)
        progress(_LOADED_SHARE, "statistics")
        self._analyze(loaded)
        progress(1.0, "loaded")
        return loaded

    def _archived_database(self, dump: Path) -> str:
        name, entries = "", 0

        def read(line: bytes) -> None:
            nonlocal name, entries
            text = line.decode(errors="replace").rstrip("\n")
            if text.startswith(";     dbname: "):
                name = text.removeprefix(";     dbname: ")
            entries += bool(text) and not text.startswith(";")

        done = self._runner.run_lines(Command((str(self._pg_restore), "--list", str(dump))), read)
        if done.code != 0:
            raise LoadError(f"the dump cannot be read: {_reason(done)}")
        if entries == 0 or not name:
            raise LoadError("the dump holds nothing: its table of contents is empty")
        return name

    def _choose_database(self, into: Endpoint, name: str) -> tuple[str, bool]:
        """The database to load, and whether the dump is to create it."""
        with (
            connect(
                into, PreflightError, database=MAINTENANCE if not into.database else "", autocommit=True
            ) as session,
            told("the target database could not be looked at", PreflightError),
        ):
            if into.database:
                row = session.execute(OCCUPIED).fetchone()
                if row is None or row[0]:
                    raise PreflightError(
                        f"the target database {into.database} is not empty: it holds {row[0] if row else 0} tables or views",
                        hint="restores go into an empty database only; create a new one and name it in the site file",
                    )
                return into.database, False
            if name in ("postgres", "template1"):
                # initdb made them; the dump makes its own
                session.execute(sql.SQL("DROP DATABASE IF EXISTS {}").format(sql.Identifier("postgres")))
        return name, True

    def _roles(self, into: Endpoint, database: str, *, create: bool, script: Path) -> None:
        if not script.is_file():
            raise LoadError("the dump of the roles is not there")
        with (
            connect(into, LoadError, database=MAINTENANCE if create else database) as session,
            told("roles", LoadError),
        ):
            apply_roles(session, script)

    def _restore(self, dump: Path, into: Endpoint, database: str, progress: Progress, *, create: bool) -> None:
        base = MAINTENANCE if create else database
        argv = (
            *(str(self._pg_restore), "--exit-on-error", f"--jobs={self._jobs}", "--no-tablespaces", "--no-password"),
            *(("--create",) if create else ()),
            *(f"--dbname={into.named(base)}", str(dump)),
        )
        with (
            self._runner.start(Command(argv, into.environment())) as process,
            connect(into, LoadError, database=base, autocommit=True) as session,
            told("the instance stopped while it was loaded", LoadError),
        ):
            while process.running():
                _tell(session, database, dump.stat().st_size, progress)
                with suppress(subprocess.TimeoutExpired):
                    process.wait(POLL_SECONDS)
            done = Completed(process.wait(), b"", process.stderr_tail())
        if done.code != 0:
            raise LoadError(f"the database did not load: {_reason(done)}")

    def _database_settings(self, dump: Path, loaded: Endpoint) -> None:
        """What --create would have brought along: ALTER DATABASE … SET, now for a database of another name."""
        argv = (str(self._pg_restore), "--create", "--schema-only", "--file=-", str(dump))
        found: list[sql.Composed] = []
        with self._runner.start(Command(argv)) as process:
            lines = (line.decode("utf-8", errors="replace") for line in process.lines())
            found.extend(_settings(statements(lines), loaded.database))
        with connect(loaded, LoadError) as session:
            try:
                for statement in found:
                    session.execute(statement)
            except psycopg.Error as failure:
                raise LoadError(f"the database's settings could not be restored: {safe_message(failure)}") from None

    def _analyze(self, loaded: Endpoint) -> None:
        argv = (str(self._vacuumdb), "--analyze-only", "--no-password", f"--jobs={self._jobs}", "--quiet")
        done = self._runner.run(Command((*argv, f"--dbname={loaded.named()}"), loaded.environment()))
        if done.code != 0:
            raise LoadError(f"the loaded tables could not be analysed: {_reason(done)}")


_NAME = r'(?:"(?:[^"]|"")+"|[^\s"]+)'
_OF_DATABASE = re.compile(rf"ALTER DATABASE {_NAME} (SET .*);$", re.DOTALL)
_OF_ROLE = re.compile(rf"ALTER ROLE ({_NAME}) IN DATABASE {_NAME} (SET .*);$", re.DOTALL)


def _settings(script: Iterator[str], database: str) -> Iterator[sql.Composed]:
    for statement in script:
        if match := _OF_DATABASE.match(statement):
            if not match[1].startswith("SET TABLESPACE"):
                yield sql.SQL("ALTER DATABASE {} {}").format(sql.Identifier(database), _verbatim(match[1]))
        elif match := _OF_ROLE.match(statement):
            yield sql.SQL("ALTER ROLE {} IN DATABASE {} {}").format(
                sql.Identifier(unquoted(match[1])), sql.Identifier(database), _verbatim(match[2])
            )


def _verbatim(text: str) -> sql.SQL:
    # pg_restore wrote it, quotes and all
    return sql.SQL(text)


def _tell(session: Session, database: str, dump_bytes: int, progress: Progress) -> None:
    """How far the load is, as the size of the database against that of the dump: near enough for a bar."""
    row = session.execute(
        "SELECT pg_catalog.pg_database_size(oid) FROM pg_catalog.pg_database WHERE datname = %s", (database,)
    ).fetchone()
    share = min(1.0, row[0] / max(1, dump_bytes)) if row else 0.0
    progress(_TABLES_SHARE + (_LOADED_SHARE - _TABLES_SHARE) * share, "tables")


def _the_dump(folder: Path) -> Path:
    found = sorted(folder.glob("*.dump"))
    if len(found) != 1:
        raise LoadError(f"one dump was to be loaded, and the restored part holds {len(found)}")
    return found[0]


def _reason(done: Completed) -> str:
    """The program's first error, cut before anything that can be a value of a row."""
    for line in done.stderr.splitlines():
        if " error: " in line:
            text = line.split(" error: ", 1)[1]
            where, separator, server = text.partition("ERROR:  ")
            if not separator:
                return safe_text(where)
            return f"{safe_text(where)}: {safe_text(server)}" if where else safe_text(server)
    return f"it ended with code {done.code}"
