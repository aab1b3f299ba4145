"""SQL Server: its own backups, proven by their headers, and facts as near to their instant as the engine lets it."""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import AbstractContextManager
from datetime import datetime, timedelta
from pathlib import Path
from typing import Literal
from zoneinfo import ZoneInfo

from drmgr.engines.answers import single, to_json
from drmgr.engines.sqlserver import statements
from drmgr.engines.sqlserver.capture import Plan, SqlServerCapture, open_capture
from drmgr.engines.sqlserver.connection import (
    Endpoint,
    SqlServerConnection,
    clock_of,
    endpoint_of,
    opened,
    told,
    write_access_file,
)
from drmgr.engines.sqlserver.facts import Scope, newest, read_groups, same_groups, scope_like, utc, version_of
from drmgr.engines.sqlserver.integrity import check_integrity
from drmgr.engines.sqlserver.load import Loader
from drmgr.engines.sqlserver.preflight import check_server
from drmgr.engines.sqlserver.take import Options
from drmgr.errors import SourceError
from drmgr.interfaces import Clock, Progress
from drmgr.model import CheckResult, Facts, Instance, Json, Recipe
from drmgr.system.mssql_server import identity_of

FactsMode = Literal["full", "counts"]


class SqlServerEngine:
    """See interfaces.SqlEngine. ``runtime`` is a private directory (0700) of the caller for access files.
    ``label`` names this source's files in the shared place.

    ``full_every`` None backs up in full every time; else differentials lie between full backups of at least that age.
    """

    name = "sqlserver"

    def __init__(
        self,
        source: str,
        connection: SqlServerConnection,
        *,
        clock: Clock,
        runtime: Path,
        facts_mode: FactsMode = "full",
        newest: Sequence[tuple[str, str]] = (),
        timezone: str = "UTC",
        full_every: timedelta | None = None,
        label: str = "",
    ) -> None:
        self._source = source
        self._label = label or source
        self._connection = connection
        self._clock = clock
        self._runtime = runtime
        self._access: Path | None = None
        self._full_every = full_every
        self._scope = Scope(facts_mode == "full", tuple(newest), ZoneInfo(timezone))

    @property
    def endpoint(self) -> Endpoint:
        """The source itself."""
        return Endpoint(self._connection.access, self._connection.database)

    @property
    def plan(self) -> Plan:
        """How the source is backed up."""
        options = Options(self._connection.compression, self._connection.copy_only)
        return Plan(self._label, self.endpoint, options, self._scope, self._full_every, self._runtime)

    def preflight(self) -> None:
        check_server(self.endpoint, self._scope)

    def capture(self) -> AbstractContextManager[SqlServerCapture]:
        return open_capture(self.plan, self._clock)

    def recipe(self, facts: Facts) -> Recipe:
        origin = facts.groups["origin"]
        return Recipe(self._source, self.name, str(origin["version"]), str(origin["database"]))

    def target(self) -> Instance:
        if self._access is None:
            self._access = write_access_file(self._runtime, self._connection.access)
        connection = self._connection
        return Instance(
            engine=self.name,
            database=connection.database,
            host=connection.server.host,
            port=connection.server.port,
            user=connection.server.user,
            passfile=self._access,
        )

    def identity(self, of: Instance) -> str:
        endpoint = endpoint_of(of)
        with opened(endpoint, database="master") as session, told("the server's identity could not be read"):
            server = identity_of(session)
            there = session.rows(statements.database(endpoint.database))
        if of.database and not there and of.database != self._connection.database:
            raise SourceError(f"there is no database {of.database} on the server at {endpoint.server.place}")
        return f"{server}:{endpoint.database.lower()}"

    def versions(self, of: Instance | None = None) -> Mapping[str, str]:
        endpoint = self.endpoint if of is None else endpoint_of(of)
        with opened(endpoint, database="master") as session, told("the server's version could not be read"):
            return {"server": str(session.row(statements.SERVER)["version"])}

    def load(self, restored: Path, into: Instance, progress: Progress) -> Instance:
        endpoint, server = endpoint_of(into), self._connection.server
        here = (endpoint.server.host, endpoint.server.port) == (server.host, server.port)
        Loader(endpoint, into.target, progress, like=self._connection.database if here else "").load(restored)
        return into

    def facts(self, of: Instance, like: Facts) -> Facts:
        started, endpoint = self._clock.monotonic(), endpoint_of(of)
        with opened(endpoint) as session, told("the facts could not be read"):
            now = utc(clock_of(session)["utc_now"])
            database = session.row(statements.database(endpoint.database))
            version = version_of(session.row(statements.SERVER))
            found = read_groups(session, database, scope_like(self._scope, like), version)
        return Facts(self.name, now, same_groups(found, like), self._clock.monotonic() - started)

    def integrity(self, of: Instance) -> CheckResult:
        return check_integrity(self._clock, endpoint_of(of), self._source)

    def scalar(self, of: Instance, sql: str) -> Json:
        return single(self.rows(of, sql))

    def rows(self, of: Instance, sql: str) -> Iterator[tuple[Json, ...]]:
        with opened(endpoint_of(of)) as session, told("the query failed"):
            # SQL Server knows no read-only transaction; whatever a check does is undone
            session.act(statements.BEGIN)
            try:
                for row in session.stream(sql):
                    yield tuple(to_json(value) for value in row)
            finally:
                session.act(statements.UNDO)

    def newest(self, of: Instance, table: str, column: str) -> datetime | None:
        with opened(endpoint_of(of)) as session, told(f"the newest row of {table} could not be read"):
            return newest(session, table, column, zone=self._scope.zone)
