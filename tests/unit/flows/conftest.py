"""A site of fakes: one system with two sources, its repository, and everything else that a flow needs."""

from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import timedelta
from pathlib import Path

import pytest

from drmgr.checks.facts import FactsCheck
from drmgr.checks.technical import IntegrityCheck, OpensCheck
from drmgr.flows.bench import Bench, Source, WiredSystem
from drmgr.flows.drill import DrillPlan
from drmgr.interfaces import Check
from drmgr.model import Level, Objectives, System, Text
from tests.support.fake_audit import FakeAudit
from tests.support.fake_catalog import FakeCatalog
from tests.support.fake_repository import FakeRepository
from tests.support.fakes import FakeCheck, FakeClock, FakeEngine, FakeEvidence, FakeLocks, FakeScratch


@dataclass
class Site:
    """The fakes, and the bench and system made of them."""

    folder: Path
    clock: FakeClock
    catalog: FakeCatalog
    locks: FakeLocks
    scratch: FakeScratch
    evidence: FakeEvidence
    repository: FakeRepository
    engines: dict[str, FakeEngine]
    bench: Bench
    wired: WiredSystem

    def plan(self, **changes: object) -> DrillPlan:
        plan = DrillPlan("d", Text("演", "drill"), "server-lost", "hands-on", (self.wired,), "latest", Level.BUSINESS)
        return replace(plan, **changes)  # type: ignore[arg-type]

    def with_checks(self, *checks: Check) -> WiredSystem:
        return replace(self.wired, checks=(*self.wired.checks, *checks))

    def with_source(self, name: str) -> FakeEngine:
        """One more source, and its engine."""
        engine = FakeEngine(_data(self.folder / name), self.clock)
        self.engines[name] = engine
        self.wired = replace(self.wired, sources=(*self.wired.sources, Source(name, engine)))
        return engine

    def snapshots(self) -> list[Path]:
        return [place for place in (self.folder / "repository").iterdir() if (place / "snapshot.json").exists()]


def _data(folder: Path) -> Path:
    (folder / "deep").mkdir(parents=True)
    (folder / "deep" / "a.txt").write_text(folder.name)
    (folder / "b.txt").write_text("b" * 1000)
    return folder


@pytest.fixture
def site(tmp_path: Path) -> Site:
    clock = FakeClock()
    catalog, locks, scratch = FakeCatalog(clock), FakeLocks(), FakeScratch(tmp_path / "scratch", clock)
    evidence, repository = FakeEvidence(), FakeRepository(tmp_path / "repository")
    repository.init()
    engines = {name: FakeEngine(_data(tmp_path / name), clock) for name in ("main", "images")}
    bench = Bench(
        *(
            Text("院", "hospital"),
            "Asia/Shanghai",
            "backup-01",
            "zhang",
            catalog,
            FakeAudit(),
            locks,
            clock,
            scratch,
            evidence,
        ),
        {"restic": "0.18.0"},
    )
    system = System("his", Text("医", "HIS"), 1, Objectives(timedelta(hours=1), timedelta(hours=2)))
    makers: tuple[Callable[[str, FakeEngine], Check], ...] = (OpensCheck, FactsCheck, IntegrityCheck)
    checks = (*(maker(name, engine) for maker in makers for name, engine in engines.items()), FakeCheck())
    sources = tuple(Source(name, engine) for name, engine in engines.items())
    wired = WiredSystem(system, repository, sources, checks)
    return Site(tmp_path, clock, catalog, locks, scratch, evidence, repository, engines, bench, wired)
