"""PostgreSQL, logical: pg_dump in an exported snapshot, facts in that same snapshot, pg_restore into an instance."""

import os
from collections.abc import Iterator, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import replace
from datetime import datetime
from pathlib import Path
from typing import Literal
from zoneinfo import ZoneInfo

import psycopg

from drmgr.engines.postgres.capture import DumpTools, PostgresCapture, open_capture
from drmgr.engines.postgres.connection import (
    Endpoint,
    PostgresConnection,
    Session,
    connect,
    endpoint_of,
    pin,
    told,
    write_passfile,
)
from drmgr.engines.postgres.facts import Scope, newest, read_groups
from drmgr.engines.postgres.integrity import check_integrity, refuse_old
from drmgr.engines.postgres.load import MAINTENANCE, Loader
from drmgr.engines.postgres.preflight import check_server, may_read_passwords
from drmgr.engines.postgres.query import one_value, stream
from drmgr.engines.postgres.tools import find_client
from drmgr.engines.postgres.whole import check_cluster
from drmgr.errors import PreflightError, SourceError
from drmgr.interfaces import Clock, Progress
from drmgr.model import CheckResult, Facts, Instance, Json, Recipe, RecoveryTarget
from drmgr.system.command import Runner

FactsMode = Literal["full", "counts"]

RECIPE = ("admin", "manifest", "preload_libraries", "system_identifier")
"""What scratch must know of a physical backup."""

PHYSICAL = "postgresql-physical"

LABEL_PART = "label"
"""Only a physical backup has it: PostgreSQL's backup_label, without which its files must not be used."""


class PostgresEngine:
    """See interfaces.SqlEngine. ``runtime`` is a private directory (0700) of the caller for password files."""

    name = "postgresql"
    _makers: tuple[str, ...] = ("pg_dump",)
    """The programs that make a backup."""

    def __init__(
        self,
        source: str,
        connection: PostgresConnection,
        *,
        runner: Runner,
        clock: Clock,
        runtime: Path,
        facts_mode: FactsMode = "full",
        newest: Sequence[tuple[str, str]] = (),
        timezone: str = "UTC",
        jobs: int | None = None,
    ) -> None:
        self._source = source
        self._connection = connection
        self._runner = runner
        self._runtime = runtime
        self._clock = clock
        self._passfile: Path | None = None
        self._empty: Path | None = None
        self._timezone = timezone
        self._jobs = jobs or min(4, os.cpu_count() or 1)
        self._scope = Scope(facts_mode == "full", tuple(newest), ZoneInfo(timezone))

    def preflight(self) -> None:
        with connect(self._own(), PreflightError) as session:
            major = check_server(session, self._scope.newest)
        for program in ("pg_dump", "pg_dumpall", "pg_restore"):
            find_client(self._runner, program, major, self._connection.binaries)

    def takes_passwords(self) -> bool:
        """Whether a backup holds the passwords of the server's roles. Raises PreflightError."""
        with connect(self._own(), PreflightError) as session, told("the rights could not be read", PreflightError):
            return may_read_passwords(session)

    def capture(self) -> AbstractContextManager[PostgresCapture]:
        return open_capture(self._own(), self._dump_tools, self._scope, self._clock)

    def recipe(self, facts: Facts) -> Recipe:
        server = dict(facts.groups["server"])
        version = str(server.pop("version"))
        settings = {name: str(value) for name, value in server.items() if value is not None}
        recovery = facts.groups.get("recovery")
        if recovery is None:
            return Recipe(self._source, facts.engine, version, self._connection.database, settings)
        settings |= {name: str(recovery[name]) for name in RECIPE if name in recovery}
        target = RecoveryTarget("name", str(recovery["restore_point"]))
        return Recipe(self._source, facts.engine, version, str(recovery["database"]), settings, target=target)

    def target(self) -> Instance:
        return self._own().instance()

    def endpoint(self, of: Instance | None = None) -> Endpoint:
        """The source's own server, or that of the instance. Raises PreflightError."""
        return self._own() if of is None else self._endpoint(of)

    def identity(self, of: Instance) -> str:
        endpoint = self._endpoint(of)
        with connect(endpoint, database=endpoint.database or MAINTENANCE, autocommit=True) as session:
            return _identity(session)

    def versions(self, of: Instance | None = None) -> Mapping[str, str]:
        endpoint = self.endpoint(of)
        with connect(endpoint, database=endpoint.database or MAINTENANCE) as session:
            number = session.info.server_version
        major, minor = divmod(number, 10000)
        programs = self._makers if of is None else () if of.engine == PHYSICAL else ("pg_restore",)
        found = {name: find_client(self._runner, name, major, self._connection.binaries) for name in programs}
        return {"server": f"{major}.{minor}", **{name: program.version for name, program in found.items()}}

    def load(self, restored: Path, into: Instance, progress: Progress) -> Instance:
        endpoint = self._endpoint(into)
        if (restored / LABEL_PART).is_dir():
            if into.engine != PHYSICAL:
                raise PreflightError("a physical backup is not loaded into a server; it is one")
            # the instance is the restored cluster itself
            return into
        major = self._major(endpoint, PreflightError)
        tools = [
            find_client(self._runner, name, major, self._connection.binaries) for name in ("pg_restore", "vacuumdb")
        ]
        loader = Loader(self._runner, tools[0].path, tools[1].path, self._jobs)
        return loader.load(restored, endpoint, progress).instance()

    def facts(self, of: Instance, like: Facts) -> Facts:
        started = self._clock.monotonic()
        endpoint = self._endpoint(of)
        with connect(endpoint) as session:
            with told("the loaded database could not be opened"):
                pin(session)
                session.isolation_level = psycopg.IsolationLevel.REPEATABLE_READ
                session.read_only = True
                taken_at = _now(session)
            groups = read_groups(session, self._scope_like(like), endpoint=endpoint)
        # a server may hold more roles than the dump brought, and never says how the dump was made
        wanted = like.groups.get("roles", {})
        groups["roles"] = {name: item for name, item in groups["roles"].items() if name in wanted}
        for told_by_the_backup in ("globals", "recovery"):
            if told_by_the_backup in like.groups:
                groups[told_by_the_backup] = dict(like.groups[told_by_the_backup])
        return Facts(like.engine, taken_at, groups, self._clock.monotonic() - started)

    def integrity(self, of: Instance) -> CheckResult:
        endpoint = self._endpoint(of)
        major = self._major(endpoint, SourceError)
        refuse_old(major)
        program = find_client(self._runner, "pg_amcheck", major, self._connection.binaries)
        if of.engine == PHYSICAL:
            beside = find_client(self._runner, "pg_basebackup", major, self._connection.binaries)
            return check_cluster(self._runner, self._clock, program.path, beside.path, endpoint, source=self._source)
        return check_integrity(self._runner, self._clock, program.path, endpoint, self._source)

    def scalar(self, of: Instance, sql: str) -> Json:
        return one_value(self._endpoint(of), sql, self._timezone)

    def rows(self, of: Instance, sql: str) -> Iterator[tuple[Json, ...]]:
        return stream(self._endpoint(of), sql, self._timezone)

    def newest(self, of: Instance, table: str, column: str) -> datetime | None:
        with connect(self._endpoint(of)) as session, told(f"the newest row of {table} could not be read"):
            session.read_only = True
            return newest(session, table, column, self._scope.zone)

    def _own(self) -> Endpoint:
        connection = self._connection
        if self._passfile is None:
            self._passfile = write_passfile(self._runtime, connection)
        place = (connection.host, connection.port, connection.user, connection.database)
        return Endpoint(*place, self._passfile, connection.sslmode)

    def _endpoint(self, of: Instance) -> Endpoint:
        if of.passfile is None and self._empty is None:
            # without a file of ours libpq would read one in the home directory
            self._empty = write_passfile(self._runtime, replace(self._connection, password=None))
        return endpoint_of(of, self._connection.sslmode, of.passfile or self._empty)

    def _scope_like(self, like: Facts) -> Scope:
        tables = like.groups.get("tables", {})
        full = any("fingerprint" in item for item in tables.values()) if tables else self._scope.full
        parted = (name.rpartition(".") for name in like.groups.get("newest", {}))
        return Scope(full, tuple((table, column) for table, _, column in parted), self._scope.zone)

    def _dump_tools(self, session: Session) -> DumpTools:
        major, binaries = session.info.server_version // 10000, self._connection.binaries
        with told("the rights of drmgr's account could not be read"):
            passwords = may_read_passwords(session)
        pg_dump, pg_dumpall = (find_client(self._runner, name, major, binaries) for name in ("pg_dump", "pg_dumpall"))
        return DumpTools(pg_dump.path, pg_dumpall.path, passwords)

    def _major(self, endpoint: Endpoint, error: type[PreflightError | SourceError]) -> int:
        with connect(endpoint, error, database=endpoint.database or MAINTENANCE) as session:
            return session.info.server_version // 10000


def _now(session: Session) -> datetime:
    row = session.execute("SELECT pg_catalog.statement_timestamp()").fetchone()
    assert row is not None
    return row[0]  # type: ignore[no-any-return]


def _identity(session: Session) -> str:
    database = session.info.dbname
    try:
        row = session.execute("SELECT system_identifier FROM pg_catalog.pg_control_system()").fetchone()
    except psycopg.errors.InsufficientPrivilege:
        row = None
    if row is not None:
        return f"postgresql:{row[0]}:{database}"
    with told("the server's identity could not be read"):
        row = session.execute(
            "SELECT pg_catalog.host(pg_catalog.inet_server_addr()), pg_catalog.current_setting('port'), "
            "pg_catalog.current_setting('unix_socket_directories', true), "
            "extract(epoch FROM pg_catalog.pg_postmaster_start_time())::text"
        ).fetchone()
    parts = [str(part) for part in row or () if part is not None]
    return f"postgresql:{'/'.join(parts)}:{database}"
