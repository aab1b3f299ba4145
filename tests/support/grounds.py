"""A workbench to run the flows on: one system ``his`` with one source ``main`` that has a log."""

from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Generic, TypeVar

from drmgr.checks.facts import FactsCheck
from drmgr.checks.technical import IntegrityCheck, OpensCheck
from drmgr.flows.backup import backup
from drmgr.flows.bench import Bench, Source, WiredSystem
from drmgr.flows.points import find
from drmgr.flows.reach import Window, windows
from drmgr.flows.restore import RestoreDone, restore
from drmgr.flows.restoreplan import RestorePlan, ToScratch
from drmgr.flows.ship_logs import Shipped, Spool, ship
from drmgr.flows.shipped import log_ranges
from drmgr.interfaces import Check, LogShipper, Repository, SqlEngine
from drmgr.model import Objectives, RecoveryPoint, System, Text
from drmgr.repository.restic import ResticRepository
from drmgr.scratch.label import PREFIX
from drmgr.scratch.processes import processes_in
from drmgr.scratch.workspace import ScratchHost
from drmgr.state.locks import FileLocks
from drmgr.system.clock import SystemClock
from drmgr.system.command import Runner
from drmgr.system.secret import Secret
from tests.support.fake_audit import FakeAudit
from tests.support.fake_catalog import FakeCatalog
from tests.support.fake_repository import FakeRepository
from tests.support.physical import Sealed
from tests.support.restic import restic_in

EngineT = TypeVar("EngineT", bound=SqlEngine)


class Grounds(Generic[EngineT]):
    """``user`` is whom scratch servers run as; ``real`` stores with restic, else in a plain folder."""

    def __init__(
        self,
        directory: Path,
        engine: EngineT,
        shipper: Callable[[EngineT, Runner], LogShipper],
        user: str,
        *,
        real: bool = False,
        integrity: bool = False,
    ) -> None:
        self.directory = directory
        self.clock = SystemClock()
        self.runner = Runner()
        self.engine = engine
        self.evidence = Sealed()
        self.repository: Repository = FakeRepository(directory / "repository")
        if real:
            settings = restic_in(directory / "repository", directory / "cache")
            self.repository = ResticRepository(settings, lambda: Secret("p" * 64), self.runner)
        self.repository.init()
        self.bench = Bench(
            site=Text("医院", "Hospital"),
            timezone="Asia/Shanghai",
            host="test",
            operator="tester",
            catalog=FakeCatalog(),
            audit=FakeAudit(),
            locks=FileLocks(directory / "locks"),
            clock=self.clock,
            scratch=ScratchHost(directory / "scratch", user, self.runner, self.clock, "test"),
            evidence=self.evidence,
            tools={},
        )
        self.source = Source("main", engine, shipper(engine, self.runner))
        self.spool = Spool(directory / "spool", 512 * 1024 * 1024)
        objectives = Objectives(timedelta(hours=1), timedelta(hours=1))
        system = System("his", Text("医院信息系统", "HIS"), 1, objectives)
        checks: tuple[Check, ...] = (OpensCheck("main", engine), FactsCheck("main", engine))
        if integrity:
            checks += (IntegrityCheck("main", engine),)
        self.wired = WiredSystem(system, self.repository, (self.source,), checks)

    def store_in(self, repository: Repository) -> None:
        """Goes on with another repository."""
        self.repository = repository
        self.wired = replace(self.wired, repository=repository)

    def ship(self) -> Shipped:
        return ship(self.bench, self.wired, self.source, self.spool)

    def back_up(self) -> RecoveryPoint:
        return backup(self.bench, self.wired).point

    def restore(self, at: str) -> RestoreDone:
        plan = RestorePlan("latest", ToScratch(timedelta(hours=1)), at=at)
        return restore(self.bench, self.wired, plan)

    def times(self) -> tuple[Window, ...]:
        """What can be restored, as ``drmgr points`` shows it."""
        found = find(self.repository, self.bench.catalog, "his")
        assert found.problems == ()
        return windows(found.points, log_ranges(self.repository, "his", "main"), "main")

    def notes(self, done: RestoreDone) -> list[str]:
        rows = self.engine.rows(done.instances["main"], "SELECT text FROM note ORDER BY id")
        return [str(row[0]) for row in rows]

    def end_kept(self) -> None:
        """Ends what restores left running for people to look at."""
        scratch = self.directory / "scratch"
        for workspace in scratch.glob(f"{PREFIX}*"):
            self.bench.scratch.keep(workspace.name.removeprefix(PREFIX), self.clock.now() - timedelta(days=1))
        self.bench.scratch.reap()
        assert not scratch.is_dir() or processes_in(scratch) == []
