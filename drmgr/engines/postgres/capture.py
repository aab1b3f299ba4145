"""One consistent view of a database: a snapshot that pg_dump and the facts share."""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from urllib.parse import quote

import psycopg
from psycopg import sql

from drmgr.engines.postgres.connection import LOCK_SECONDS, Endpoint, Session, connect, pin, told
from drmgr.engines.postgres.facts import Scope, list_tables, read_groups, read_sequences
from drmgr.errors import SourceError
from drmgr.interfaces import Clock, Sink
from drmgr.model import Facts, Stream

ATTEMPTS = 3
"""How often the list of tables may change under our hands before we give up."""


@dataclass(frozen=True)
class DumpTools:
    """The programs that write a dump, and whether the account may read the roles' passwords."""

    pg_dump: Path
    pg_dumpall: Path
    role_passwords: bool


class PostgresCapture:
    """See interfaces.Capture."""

    frozen = True

    def __init__(
        self,
        session: Session,
        endpoint: Endpoint,
        tools: DumpTools,
        scope: Scope,
        clock: Clock,
        *,
        replayed: datetime | None,
    ) -> None:
        self._session = session
        self._endpoint = endpoint
        self._tools = tools
        self._scope = scope
        self._clock = clock
        with told("no snapshot of the database could be taken"):
            # simple protocol: the statement's time is set before its snapshot is taken, never after
            row = session.execute("SELECT pg_catalog.statement_timestamp(), pg_catalog.pg_export_snapshot()").fetchone()
            assert row is not None
            self._taken_at: datetime = row[0]
            self._consistent_at: datetime = row[0] if replayed is None else min(row[0], replayed)
            self._snapshot: str = row[1]
            self._low = read_sequences(session)

    @property
    def consistent_at(self) -> datetime:
        return self._consistent_at

    def store(self, sink: Sink) -> None:
        sink.save_together(self._dump(), self._globals())

    def facts(self) -> Facts:
        started = self._clock.monotonic()
        groups = read_groups(self._session, self._scope, self._low, endpoint=self._endpoint)
        groups["globals"] = {"role_passwords": self._tools.role_passwords}
        return Facts("postgresql", self._taken_at, groups, self._clock.monotonic() - started)

    def _dump(self) -> Stream:
        argv = (
            *(str(self._tools.pg_dump), f"--snapshot={self._snapshot}", "--format=custom", "--compress=0"),
            *("--no-password", f"--lock-wait-timeout={LOCK_SECONDS * 1000}"),
            f"--dbname={self._endpoint.named()}",
        )
        filename = f"{quote(self._endpoint.database, safe='')}.dump"
        return Stream("dump", argv, filename, self._endpoint.environment())

    def _globals(self) -> Stream:
        argv = (
            *(str(self._tools.pg_dumpall), "--roles-only", "--no-password"),
            *(() if self._tools.role_passwords else ("--no-role-passwords",)),
            f"--database={self._endpoint.database}",
        )
        return Stream("globals", argv, "globals.sql", self._endpoint.environment())


@contextmanager
def open_capture(
    endpoint: Endpoint, find_tools: Callable[[Session], DumpTools], scope: Scope, clock: Clock
) -> Iterator[PostgresCapture]:
    """Opens the view and closes it at the end of the block. Raises SourceError."""
    session = connect(endpoint)
    try:
        with told("the database could not be opened for a backup"):
            pin(session)
        tools = find_tools(session)
        session.rollback()
        replayed = _replayed(session)
        session.isolation_level = psycopg.IsolationLevel.REPEATABLE_READ
        session.read_only = True
        lock_tables(session)
        yield PostgresCapture(session, endpoint, tools, scope, clock, replayed=replayed)
    finally:
        # the server may be gone, and then there is nothing left to give back
        with suppress(psycopg.Error):
            session.close()


REPLAYED = """
SELECT greatest(pg_catalog.pg_last_xact_replay_timestamp(), (SELECT checkpoint_time FROM pg_catalog.pg_control_checkpoint()))
WHERE pg_catalog.pg_is_in_recovery()"""


def _replayed(session: Session) -> datetime | None:
    """Until when a standby surely has what its primary committed; None for a primary.

    A standby may be hours behind whatever its clock says. Asked before the snapshot is taken, so that the view holds at
    least this much; on a primary that commits nothing it is older than it need be, never newer.
    """
    with told("how far the standby has come could not be read"):
        row = session.execute(REPLAYED).fetchone()
        session.commit()
    return None if row is None else row[0]


def lock_tables(session: Session) -> None:
    """Keeps all tables from being dropped, emptied or rebuilt while the view is open.

    The locks come before the snapshot: TRUNCATE and rebuilding ALTER TABLE show through even in a snapshot, so one that
    came between the dump and the facts would make them disagree. LOCK TABLE itself takes no snapshot.
    """
    for _ in range(ATTEMPTS):
        with told("the tables of the database could not be listed"):
            try:
                tables = list_tables(session)
            except psycopg.errors.LockNotAvailable:
                raise _held(session) from None
            session.commit()
        with told("the tables could not be locked against changes of their structure"):
            if not tables or _lock(session, tables):
                return
    raise SourceError("tables of the database came and went all the time, so no view of it could be opened")


# an exclusive lock that is only waited for holds up everybody behind it as well
HOLDERS = """
WITH strict AS (
  SELECT l.pid, l.granted FROM pg_catalog.pg_locks l
  JOIN pg_catalog.pg_database d ON d.oid = l.database AND d.datname = pg_catalog.current_database()
  WHERE l.locktype = 'relation' AND l.mode = 'AccessExclusiveLock'),
guilty AS (
  SELECT pid FROM strict WHERE granted
  UNION SELECT pg_catalog.unnest(pg_catalog.pg_blocking_pids(pid)) FROM strict WHERE NOT granted)
SELECT a.pid, coalesce(a.usename, '?'), coalesce(pg_catalog.date_part('epoch', pg_catalog.clock_timestamp() - a.xact_start), -1)
FROM guilty g JOIN pg_catalog.pg_stat_activity a USING (pid)
WHERE a.pid <> pg_catalog.pg_backend_pid() ORDER BY a.xact_start LIMIT 3"""


def _held(session: Session) -> SourceError:
    """Says whose lock we waited for in vain; nothing of what they do, for it may hold data."""
    session.rollback()
    with told("who holds a lock on the tables could not be read"):
        rows = session.execute(HOLDERS).fetchall()
        session.rollback()
    who = [f"process {pid} of user {user}{_since(seconds)}" for pid, user, seconds in rows]
    held = f": held by {', '.join(who)}" if who else ", and by now nobody holds them any more"
    end = f", or end it: SELECT pg_terminate_backend({rows[0][0]})" if rows else ""
    return SourceError(
        f"the tables could not be locked against changes of their structure within {LOCK_SECONDS} s{held}",
        hint=f"back up again once that is done{end}",
    )


def _since(seconds: float) -> str:
    # without the role pg_read_all_stats nobody sees since when
    return "" if seconds < 0 else f", its transaction open for {seconds / 60:.0f} min"


def _lock(session: Session, tables: Sequence[tuple[str, str]]) -> bool:
    names = sql.SQL(", ").join(sql.SQL("ONLY {}").format(sql.Identifier(*table)) for table in tables)
    try:
        session.execute(sql.SQL("LOCK TABLE {} IN ACCESS SHARE MODE").format(names))
    except (psycopg.errors.UndefinedTable, psycopg.errors.InvalidSchemaName):
        session.rollback()
        return False
    except psycopg.errors.LockNotAvailable:
        raise _held(session) from None
    return True
