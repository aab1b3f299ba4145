"""PostgreSQL, logical, in its own place: a database beside, and two renames."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any, LiteralString

import psycopg
from psycopg import sql

from drmgr.engines.postgres.connection import Session, connect, told
from drmgr.engines.postgres.dress import dress
from drmgr.engines.postgres.engine import PostgresEngine
from drmgr.engines.postgres.load import MAINTENANCE
from drmgr.engines.postgres.tools import find_client
from drmgr.errors import DrmgrError, InUseError, PreflightError, SourceError
from drmgr.interfaces import Clock
from drmgr.model import Facts, Instance, Member, Move
from drmgr.system.beside import before_name, restored_name
from drmgr.system.command import Runner

NAME_BYTES = 63
END_SECONDS = 15.0
POLL_SECONDS = 0.1
CLOSING_SECONDS = 2.0
"""A session that was closed is still listed until its process has ended: our own last ones are, more often than not."""

_DATABASE: LiteralString = """
SELECT d.datallowconn, d.datistemplate, pg_catalog.pg_has_role(d.datdba, 'USAGE'),
  (SELECT pg_catalog.count(*) FROM pg_catalog.pg_prepared_xacts p WHERE p.database = d.datname),
  (SELECT pg_catalog.count(*) FROM pg_catalog.pg_subscription s WHERE s.subdbid = d.oid)
FROM pg_catalog.pg_database d WHERE d.datname = %s"""
_ROLE: LiteralString = """
SELECT rolsuper, rolcreatedb, pg_catalog.pg_has_role('pg_signal_backend', 'USAGE')
FROM pg_catalog.pg_roles WHERE rolname = current_user"""
_THERE: LiteralString = "SELECT datallowconn FROM pg_catalog.pg_database WHERE datname = %s"
_USERS: LiteralString = """
SELECT pid FROM pg_catalog.pg_stat_activity
WHERE datname = %s AND pid <> pg_catalog.pg_backend_pid() AND backend_type IN ('client backend', 'walsender')"""


class PostgresPlace:
    """See interfaces.Place. The engine's account may create databases and owns this one, or is a superuser."""

    by_scratch = False
    replays = False
    by_hand = ""

    def __init__(self, engine: PostgresEngine, runner: Runner, clock: Clock, binaries: Path | None) -> None:
        self.engine = engine
        self._endpoint = engine.endpoint()
        self._runner = runner
        self._clock = clock
        self._binaries = binaries

    @property
    def _name(self) -> str:
        return self._endpoint.database

    def survey(self, member: Member) -> None:
        del member
        if self._name in ("postgres", "template0", "template1"):
            raise PreflightError(f"the database {self._name} is the server's own and cannot be renamed")
        with self._session(PreflightError) as session:
            row = session.execute(_ROLE).fetchone()
            superuser, creates, signals = row or (False, False, False)
            found = session.execute(_DATABASE, (self._name,)).fetchone()
        _, template, owned, prepared, subscriptions = found or (True, False, True, 0, 0)
        if not superuser and not (creates and owned and signals):
            raise PreflightError(
                f"user {self._endpoint.user} may not set the database {self._name} aside",
                hint="name a connection with such an account under restore.through in the site file: a superuser, or one "
                "that has CREATEDB and pg_signal_backend and is a member of the database's owner",
            )
        for wrong, what in ((template, "is a template"), (prepared, "holds prepared transactions")):
            if wrong:
                raise PreflightError(f"the database {self._name} {what}, and cannot be renamed as it is")
        if subscriptions:
            raise PreflightError(
                f"the database {self._name} subscribes to another one, and would go on doing so when it is set aside",
                hint="disable its subscriptions first (ALTER SUBSCRIPTION … DISABLE)",
            )

    def users(self) -> int:
        with self._session() as session:
            return len(session.execute(_USERS, (self._name,)).fetchall())

    def programs(self) -> tuple[str, ...]:
        return ()

    def disk(self) -> Path | None:
        if not self._endpoint.host.startswith("/"):
            return None
        with self._session() as session:
            row = session.execute("SELECT pg_catalog.current_setting('data_directory', true)").fetchone()
        return Path(row[0]) if row and row[0] and Path(row[0]).is_dir() else None

    def staging(self, run: str) -> Path | None:
        del run
        return None

    def make(self, run: str, facts: Facts) -> Instance:
        name, server = restored_name(self._name, run, NAME_BYTES), facts.groups["server"]
        options: dict[LiteralString, Any] = {
            "ENCODING": server["encoding"],
            "LC_COLLATE": server["collate"],
            "LC_CTYPE": server["ctype"],
        }
        icu = server.get("provider") == "i"
        statement = sql.SQL("CREATE DATABASE {} TEMPLATE template0").format(sql.Identifier(name))
        for option, value in options.items():
            statement += sql.SQL(" {} {}").format(sql.SQL(option), sql.Literal(str(value)))
        if icu:
            statement += sql.SQL(" LOCALE_PROVIDER icu ICU_LOCALE {}").format(sql.Literal(str(server["locale"])))
        with self._session() as session, told("the database beside could not be made"):
            session.execute(statement)
        return replace(self._endpoint, database=name).instance()

    def settle(self, run: str, staged: Path, loaded: Instance) -> None:
        del run
        with self._session() as session:
            major = session.info.server_version // 10000
            pg_restore = find_client(self._runner, "pg_restore", major, self._binaries).path
            dress(session, self._runner, pg_restore, staged / "dump", loaded.database)

    def moves(self, run: str, source: str) -> tuple[Move, ...]:
        name = self._name
        aside = Move(source, name, before_name(name, run, NAME_BYTES), kept=True)
        into = Move(source, restored_name(name, run, NAME_BYTES), name)
        with self._session() as session:
            return (aside, into) if _there(session, name) is not None else (into,)

    def begun(self, move: Move) -> bool:
        """Its door was shut for the rename, and not opened again."""
        with self._session() as session:
            old, new = _there(session, move.old), _there(session, move.new)
            return (old is False and new is None) or (new is False and (move.kept or old is None))

    def done(self, move: Move) -> bool:
        with self._session() as session:
            renamed = _there(session, move.new) is True
            return renamed and (move.kept or _there(session, move.old) is None)

    def rename(self, move: Move, *, end_sessions: bool) -> None:
        with self._session() as session, told(f"the database {move.old} could not be renamed"):
            if _there(session, move.old) is None:
                # renamed, and killed before its door was open again
                _door(session, move.new, open_to_all=True)
                return
            if not end_sessions:
                self._refuse_used(session, move.old)
            _door(session, move.old, open_to_all=False)
            try:
                self._end(session, move.old, end_sessions=end_sessions)
                session.execute(
                    sql.SQL("ALTER DATABASE {} RENAME TO {}").format(sql.Identifier(move.old), sql.Identifier(move.new))
                )
            except (psycopg.Error, DrmgrError):
                _door(session, move.old, open_to_all=True)
                raise
            _door(session, move.new, open_to_all=True)

    def _refuse_used(self, session: Session, name: str) -> None:
        deadline = self._clock.monotonic() + CLOSING_SECONDS
        while session.execute(_USERS, (name,)).fetchone():
            if self._clock.monotonic() > deadline:
                raise InUseError(f"sessions work in the database {name}")
            self._clock.sleep(POLL_SECONDS)

    def _end(self, session: Session, name: str, *, end_sessions: bool) -> None:
        deadline = self._clock.monotonic() + END_SECONDS
        while users := session.execute(_USERS, (name,)).fetchall():
            if not end_sessions:
                raise InUseError(f"sessions work in the database {name}")
            for (pid,) in users:
                session.execute("SELECT pg_catalog.pg_terminate_backend(%s)", (pid,))
            if self._clock.monotonic() > deadline:
                raise SourceError(f"{len(users)} sessions in the database {name} do not end")
            self._clock.sleep(POLL_SECONDS)

    def live(self, run: str) -> Instance | None:
        del run
        return self._endpoint.instance()

    def lacking(self, run: str) -> tuple[str, ...]:
        del run
        return ()

    def tidy(self, run: str) -> None:
        """Nothing lies on the way."""

    def discard(self, run: str) -> None:
        name = sql.Identifier(restored_name(self._name, run, NAME_BYTES))
        with self._session() as session, told("the database beside could not be dropped"):
            session.execute(sql.SQL("DROP DATABASE IF EXISTS {} WITH (FORCE)").format(name))

    @contextmanager
    def _session(self, error: type[PreflightError | SourceError] = SourceError) -> Iterator[Session]:
        with (
            connect(self._endpoint, error, database=MAINTENANCE, autocommit=True) as session,
            told("the database could not be looked at", error),
        ):
            yield session


def _there(session: Session, name: str) -> bool | None:
    """None when there is no such database, else whether it lets anybody in."""
    row = session.execute(_THERE, (name,)).fetchone()
    return None if row is None else bool(row[0])


def _door(session: Session, name: str, *, open_to_all: bool) -> None:
    """Shut, nobody comes in between the last session's end and the rename, not even a superuser."""
    word = sql.SQL("true" if open_to_all else "false")
    session.execute(sql.SQL("ALTER DATABASE {} WITH ALLOW_CONNECTIONS {}").format(sql.Identifier(name), word))
