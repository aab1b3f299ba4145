"""MariaDB, logical: mariadb-dump and facts in one view, the mariadb client into an instance; loads physical copies too."""

import re
from collections.abc import Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, closing
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Literal
from zoneinfo import ZoneInfo

from drmgr.engines.answers import single
from drmgr.engines.mariadb.accounts import account_facts, only_wanted, read_accounts
from drmgr.engines.mariadb.capture import MariadbCapture, open_capture
from drmgr.engines.mariadb.connection import (
    Endpoint,
    MariadbConnection,
    connect,
    endpoint_of,
    run,
    told,
    write_passfile,
)
from drmgr.engines.mariadb.facts import Scope, are_exact, newest, read_groups
from drmgr.engines.mariadb.integrity import check_integrity
from drmgr.engines.mariadb.label import LABEL_PART, LOG_PART, read_label
from drmgr.engines.mariadb.load import Loader
from drmgr.engines.mariadb.log import check_log
from drmgr.engines.mariadb.preflight import check_server
from drmgr.engines.mariadb.query import stream
from drmgr.engines.mariadb.replay import Replayer
from drmgr.engines.mariadb.replay_plan import Planner, Start, log_files
from drmgr.engines.mariadb.tools import find_client, version_of
from drmgr.errors import PreflightError
from drmgr.interfaces import Clock, Progress
from drmgr.model import CheckResult, Facts, Instance, Json, Recipe, RecoveryTarget
from drmgr.system.command import Runner

FactsMode = Literal["full", "counts"]
SERVER_SETTINGS = ("character-set-server", "collation-server", "lower-case-table-names")


class MariadbEngine:
    """See interfaces.SqlEngine. ``runtime`` is a private directory (0700) of the caller for password files and pipes."""

    name = "mariadb"
    _maker, _loader = "mariadb-dump", "mariadb"
    """The programs that make a backup and bring it back."""

    def __init__(
        self,
        source: str,
        connection: MariadbConnection,
        *,
        runner: Runner,
        clock: Clock,
        runtime: Path,
        facts_mode: FactsMode = "full",
        newest: Sequence[tuple[str, str]] = (),
        timezone: str = "UTC",
        logged: bool = False,
    ) -> None:
        self._source = source
        self._connection = connection
        self._runner = runner
        self._clock = clock
        self._runtime = runtime
        self._logged = logged
        self._passfile: Path | None = None
        self._scope = Scope(facts_mode == "full", tuple(newest), ZoneInfo(timezone))

    def preflight(self) -> None:
        for program in ("mariadb-dump", "mariadb"):
            find_client(program, self._connection.binaries)
        with closing(connect(self._own(), PreflightError)) as session:
            check_server(session, self._connection.database, self._scope)
            if self._logged:
                check_log(session)

    def capture(self) -> AbstractContextManager[MariadbCapture]:
        return open_capture(
            self._own(),
            lambda: find_client("mariadb-dump", self._connection.binaries),
            self._scope,
            runner=self._runner,
            clock=self._clock,
            runtime=self._runtime,
            logged=self._logged,
        )

    def recipe(self, facts: Facts) -> Recipe:
        origin = facts.groups["origin"]
        series = re.match(r"\d+\.\d+", str(origin["version"]))
        settings = {name: str(origin[name]) for name in SERVER_SETTINGS}
        return Recipe(self._source, facts.engine, series[0] if series else "", self._connection.database, settings)

    def target(self) -> Instance:
        return self._own().instance()

    def identity(self, of: Instance) -> str:
        endpoint = self._endpoint(of)
        with closing(connect(endpoint)) as session, told("the server's identity could not be read"):
            ((host, port, data),) = run(session, "SELECT @@hostname, @@port, @@datadir")
        return f"{self.name}:{host}:{port}:{data}:{endpoint.database}"

    def versions(self, of: Instance | None = None) -> Mapping[str, str]:
        with closing(connect(self.endpoint(of))) as session, told("the server's version could not be read"):
            ((server,),) = run(session, "SELECT VERSION()")
        program = self._maker if of is None else self._loader
        return {"server": str(server), program: version_of(program, self._connection.binaries, self._runner)}

    def load(self, restored: Path, into: Instance, progress: Progress) -> Instance:
        if (restored / LABEL_PART).is_dir():
            return self._load_copy(restored, into, progress)
        client = find_client("mariadb", self._connection.binaries)
        return Loader(self._runner, client).load(restored, self._endpoint(into), progress).instance()

    def _load_copy(self, restored: Path, into: Instance, progress: Progress) -> Instance:
        """The instance is the copy of the server's files: carries it on to the instant of its facts."""
        label = read_label(restored / LABEL_PART)
        target = RecoveryTarget("position", str(label.viewed))
        progress(0.0, "replay")
        files = log_files([restored / LOG_PART])
        plan = Planner(Start(label.copied.place, label.copied.gtid), target).plan(files)
        self.replayer().replay(plan, self._endpoint(into))
        progress(1.0, "loaded")
        return replace(into, database=label.database)

    def replayer(self) -> Replayer:
        """What replays a log into a scratch server. Raises ToolError."""
        client = find_client("mariadb", self._connection.binaries)
        return Replayer(self._runner, self.log_program(), client, self._runtime)

    def log_program(self) -> Path:
        """What reads binary logs. Raises ToolError."""
        return find_client("mariadb-binlog", self._connection.binaries)

    def endpoint(self, of: Instance | None = None) -> Endpoint:
        """The source's own server, or that of the instance, for MariaDB's own programs. Raises PreflightError."""
        return self._own() if of is None else self._endpoint(of)

    def facts(self, of: Instance, like: Facts) -> Facts:
        started, endpoint = self._clock.monotonic(), self._endpoint(of)
        with closing(connect(endpoint)) as session, told("the facts could not be read"):
            run(session, "START TRANSACTION WITH CONSISTENT SNAPSHOT, READ ONLY")
            ((now,),) = run(session, "SELECT UTC_TIMESTAMP(6)")
            groups = read_groups(session, endpoint.database, self._scope_like(like))
            # beside, or in an empty database of another name, rights count as those of the name in use
            own = self._connection.database
            known_as = own if endpoint.database != own else ""
            accounts = account_facts(read_accounts(session, endpoint.database, known_as))
        groups["accounts"] = only_wanted(accounts, like.groups.get("accounts", {}))
        # a copy never says where it came from
        for told_by_the_backup in ("origin", "recovery"):
            if told_by_the_backup in like.groups:
                groups[told_by_the_backup] = dict(like.groups[told_by_the_backup])
        return Facts(like.engine, now.replace(tzinfo=UTC), groups, self._clock.monotonic() - started)

    def integrity(self, of: Instance) -> CheckResult:
        return check_integrity(self._clock, self._endpoint(of), self._source)

    def scalar(self, of: Instance, sql: str) -> Json:
        return single(self.rows(of, sql))

    def rows(self, of: Instance, sql: str) -> Iterator[tuple[Json, ...]]:
        return stream(self._endpoint(of), sql, self._scope.zone, self._clock)

    def newest(self, of: Instance, table: str, column: str) -> datetime | None:
        endpoint = self._endpoint(of)
        with closing(connect(endpoint)) as session, told(f"the newest row of {table} could not be read"):
            return newest(session, endpoint.database, table, column, zone=self._scope.zone)

    def _own(self) -> Endpoint:
        connection = self._connection
        if self._passfile is None:
            self._passfile = write_passfile(self._runtime, connection.password)
        place = (connection.host, connection.port, connection.user, connection.database)
        return Endpoint(*place, self._passfile, connection.tls, connection.ca)

    def _endpoint(self, of: Instance) -> Endpoint:
        return endpoint_of(of, self._connection, of.passfile)

    def _scope_like(self, like: Facts) -> Scope:
        tables = like.groups.get("tables", {})
        full = any("fingerprint" in item for item in tables.values()) if tables else self._scope.full
        parted = (name.rpartition(".") for name in like.groups.get("newest", {}))
        newest_of = tuple((table, column) for table, _, column in parted)
        exact = are_exact(like.groups) or "limits" not in like.groups
        return Scope(full, newest_of, self._scope.zone, exact)
