"""A system on SQL Server's stand-ins, with a workbench to run the flows on."""

from contextlib import suppress
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from drmgr.checks.facts import FactsCheck
from drmgr.checks.technical import IntegrityCheck, OpensCheck
from drmgr.engines.sqlserver import SqlServerEngine, SqlServerLogShipper
from drmgr.flows.backup import BackupDone, backup
from drmgr.flows.bench import Bench, Source, WiredSystem
from drmgr.flows.restore import RestoreDone, restore
from drmgr.flows.restoreplan import RestorePlan, ToScratch
from drmgr.flows.ship_logs import Shipped, Spool, ship
from drmgr.interfaces import Check
from drmgr.model import Level, Objectives, System, Text
from drmgr.scratch.label import PREFIX
from drmgr.scratch.sqlserver import SqlServerScratch
from drmgr.scratch.workspace import ScratchHost
from drmgr.state.locks import FileLocks
from drmgr.system.clock import SystemClock
from drmgr.system.command import Runner
from tests.support.fake_audit import FakeAudit
from tests.support.fake_catalog import FakeCatalog
from tests.support.fake_repository import FakeRepository
from tests.support.physical import Sealed
from tests.support.sqlserver import StandIn, engine_of, server_identity
from tests.support.tds.store import Database, Table, appended


class SqlServerPlace:
    """A system ``his`` with one source ``main``, on a database of its own."""

    def __init__(self, directory: Path, source: StandIn, scratch: StandIn, **options: Any) -> None:
        self.directory, self.source, self.scratch = directory, source, scratch
        self.clock = SystemClock()
        database = options.pop("database", {})
        self.database: Database = source.create(**database)
        self.engine: SqlServerEngine = self.make(**options)
        self.repository = FakeRepository(directory / "repository")
        self.repository.init()
        self.evidence = Sealed()
        self.host = ScratchHost(
            directory / "scratch",
            "postgres",
            Runner(),
            self.clock,
            "test",
            sqlserver=SqlServerScratch(scratch.access, "test", lambda: {"his": server_identity(source.access)}),
        )
        self.bench = Bench(
            site=Text("医院", "Hospital"),
            timezone="Asia/Shanghai",
            host="test",
            operator="tester",
            catalog=FakeCatalog(),
            audit=FakeAudit(),
            locks=FileLocks(directory / "locks"),
            clock=self.clock,
            scratch=self.host,
            evidence=self.evidence,
            tools={},
        )
        self.spool = Spool(directory / "spool", 512 * 1024 * 1024)
        self.wire()

    def make(self, **options: Any) -> SqlServerEngine:
        label = f"site-his-{self.database.name}"
        return engine_of(self.source.access, self.database.name, self.directory / "runtime", label=label, **options)

    def wire(self) -> None:
        """To be called again when the engine was changed."""
        self.main = Source("main", self.engine, SqlServerLogShipper(self.engine))
        objectives = Objectives(timedelta(hours=1), timedelta(hours=1))
        system = System("his", Text("医院信息系统", "HIS"), 1, objectives)
        checks: tuple[Check, ...] = (
            *(OpensCheck("main", self.engine), FactsCheck("main", self.engine), IntegrityCheck("main", self.engine)),
        )
        self.wired = WiredSystem(system, self.repository, (self.main,), checks)

    def back_up(self) -> BackupDone:
        return backup(self.bench, self.wired)

    def ship(self) -> Shipped:
        return ship(self.bench, self.wired, self.main, self.spool)

    def restore(self, at: str = "", point: str = "latest") -> RestoreDone:
        return restore(self.bench, self.wired, RestorePlan(point, ToScratch(timedelta(hours=1)), at=at))

    def note(self, number: int) -> datetime:
        """Commits a row, and gives an instant at which it is there and no later one is."""
        self.source.store.change(self.database.name, lambda tables: _append(tables, number))
        while self.now() <= self.database.commits[-1].time.replace(tzinfo=UTC) + timedelta(milliseconds=4):
            pass
        at = self.now()
        while self.now() <= at + timedelta(milliseconds=4):
            pass
        return at

    def now(self) -> datetime:
        """The server's clock."""
        return self.source.store.now().replace(tzinfo=UTC)

    def notes(self, done: RestoreDone) -> list[int]:
        """The rows that came back."""
        name = done.instances["main"].database
        return [row[0] for row in self.scratch.store.databases[name].tables["dbo.queue"].rows if row[0] > 99]

    def left(self) -> list[str]:
        """Files that lie in the two shared folders."""
        folders = (self.source.folder.local, self.scratch.folder.local)
        return sorted(path.name for folder in folders for path in folder.iterdir())

    def end_kept(self) -> None:
        """Ends what restores left for people to look at."""
        for workspace in (self.directory / "scratch").glob(f"{PREFIX}*"):
            with suppress(FileNotFoundError):
                self.bench.scratch.keep(workspace.name.removeprefix(PREFIX), self.clock.now() - timedelta(days=1))
        self.bench.scratch.reap()


def _append(tables: dict[str, Table], number: int) -> None:
    tables["dbo.queue"] = appended(tables["dbo.queue"], (number,))


def passed(done: RestoreDone, level: Level) -> bool:
    """Whether the restore came through with nothing amiss."""
    return str(done.outcome.verdict) == "passed" and done.outcome.level >= level


def shifted(table: Table) -> Table:
    """The same rows as a new object: a change that changes nothing."""
    return replace(table)
