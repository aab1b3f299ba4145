"""A drill of many systems at once: each by itself, none left out, and what depends on a lost one does not pass."""

import threading
from dataclasses import replace

import pytest

from drmgr.errors import Interrupted, LoadError, RepositoryUnreachableError
from drmgr.flows.backup import backup
from drmgr.flows.bench import Source, WiredSystem
from drmgr.flows.drill import drill
from drmgr.flows.turns import Limits
from drmgr.model import CheckResult, CheckStatus, Level, RunKind, RunStatus, Verdict
from tests.support.fake_repository import FakeRepository
from tests.support.fakes import FakeCheck, FakeEngine
from tests.unit.flows.conftest import Site

ROOM = Limits(3, 10_000, 1 << 40)


def another(site: Site, name: str, *needs: str, tier: int = 1) -> tuple[WiredSystem, FakeEngine]:
    """A further system with one source and a repository of its own, backed up."""
    repository = FakeRepository(site.folder / f"repository-{name}")
    repository.init()
    (site.folder / f"data-{name}").mkdir()
    (site.folder / f"data-{name}" / "b.txt").write_text(name)
    engine = FakeEngine(site.folder / f"data-{name}", site.clock)
    system = replace(site.wired.system, id=name, tier=tier, depends_on=needs)
    checks = tuple(FakeCheck(f"level-{level}", level) for level in list(Level)[1:5])
    wired = WiredSystem(system, repository, (Source("main", engine),), checks)
    backup(site.bench, wired)
    return wired, engine


def test_all_come_back_and_each_is_destroyed(site: Site) -> None:
    systems = [another(site, name)[0] for name in ("his", "emr", "lis", "mi")]
    record = drill(site.bench, site.plan(systems=tuple(systems), limits=ROOM)).record
    assert record.verdict is Verdict.PASSED
    assert [outcome.system.id for outcome in record.outcomes] == ["his", "emr", "lis", "mi"]
    assert [proof.gone for proof in record.destruction] == [True] * 4
    assert list(site.scratch.directory.iterdir()) == []
    (run,) = site.catalog.runs(kind=RunKind.DRILL)
    assert set(run.detail["seconds"]) == {"his", "emr", "lis", "mi"}


class Meeting(FakeCheck):
    """Passes only where another system is being checked at the same time."""

    both = threading.Barrier(2)

    def run(self, restored: object) -> CheckResult:
        self.both.wait(30)
        return super().run(restored)


def test_two_are_really_played_at_once(site: Site) -> None:
    systems = [replace(wired, checks=(*wired.checks, Meeting("m"))) for wired in (another(site, n)[0] for n in "ab")]
    record = drill(site.bench, site.plan(systems=tuple(systems), limits=ROOM)).record
    assert record.verdict is Verdict.PASSED


def test_the_order_is_that_of_tier_and_dependency(site: Site) -> None:
    declared = (("queue", ("his",), 3), ("mrm", (), 2), ("emr", ("his",), 1), ("his", (), 1))
    systems = [another(site, name, *needs, tier=tier)[0] for name, needs, tier in declared]
    drill(site.bench, site.plan(systems=tuple(systems), limits=replace(ROOM, parallel=1)))
    opened = [name.rpartition("-")[2] for name in site.scratch.opened]
    assert opened == ["his", "emr", "mrm", "queue"]


def test_the_longest_of_the_last_time_goes_first(site: Site) -> None:
    (quick, _), (slow, engine) = another(site, "quick"), another(site, "slow")
    plan, engine.load_seconds = site.plan(systems=(quick, slow), limits=replace(ROOM, parallel=1)), 500
    drill(site.bench, plan)
    drill(site.bench, plan)
    assert [name.rpartition("-")[2] for name in site.scratch.opened] == ["quick", "slow", "slow", "quick"]


@pytest.mark.parametrize(
    ("raised", "status", "verdict"),
    [
        (LoadError("does not load"), CheckStatus.FAIL, Verdict.FAILED),
        (RepositoryUnreachableError("away"), CheckStatus.SKIPPED, Verdict.ERROR),
    ],
)
def test_what_depends_on_a_lost_one_is_played_and_says_so(
    site: Site, raised: LoadError, status: CheckStatus, verdict: Verdict
) -> None:
    (his, engine), (emr, _), (mi, _), (mrm, _) = (
        another(site, "his"),
        another(site, "emr", "his"),
        another(site, "mi", "emr"),
        another(site, "mrm"),
    )
    engine.raises = {"load": raised}
    record = drill(site.bench, site.plan(systems=(his, mi, emr, mrm), limits=ROOM)).record
    found = {outcome.system.id: outcome for outcome in record.outcomes}
    assert {name: outcome.verdict for name, outcome in found.items()} == {
        "his": verdict,
        "emr": verdict,
        "mi": verdict,
        "mrm": Verdict.PASSED,
    }
    # what it proved by itself stays said
    assert (found["emr"].level, found["emr"].rto.met, found["emr"].error) == (Level.BUSINESS, True, None)
    assert (found["emr"].checks[-1].name, found["emr"].checks[-1].status) == ("depends-on-his", status)
    assert (found["mi"].checks[-1].name, found["mi"].checks[-1].status) == ("depends-on-emr", status)
    assert record.verdict is verdict


def test_a_dependency_that_was_only_late_did_come_back(site: Site) -> None:
    (his, engine), (emr, _) = another(site, "his"), another(site, "emr", "his")
    engine.load_seconds = 7201
    record = drill(site.bench, site.plan(systems=(emr, his), limits=ROOM)).record
    assert [outcome.verdict for outcome in record.outcomes] == [Verdict.FAILED, Verdict.FAILED]
    assert "depends-on-his" not in [check.name for check in record.outcomes[0].checks]
    assert not record.outcomes[0].rto.met


def test_what_does_not_fit_is_an_error_of_that_system_alone(site: Site) -> None:
    (his, _), (lis, _) = another(site, "his"), another(site, "lis")
    (site.folder / "data-his" / "c.txt").write_bytes(bytes(5000))
    backup(site.bench, his)
    record = drill(site.bench, site.plan(systems=(his, lis), limits=Limits(2, 10_000, 1000))).record
    statuses = [(outcome.verdict, outcome.error and outcome.error["code"]) for outcome in record.outcomes]
    assert statuses == [(Verdict.ERROR, "scratch"), (Verdict.PASSED, None)]


def test_one_system_alone_keeps_to_the_limits_too(site: Site) -> None:
    his, _ = another(site, "his")
    limits = Limits(1, 99, 1 << 40, memory_is_set=True)
    (outcome,) = drill(site.bench, site.plan(systems=(his,), limits=limits)).record.outcomes
    assert outcome.verdict is Verdict.ERROR
    assert outcome.error is not None and "100 bytes of memory" in outcome.error["message"]
    assert site.scratch.opened == []


@pytest.mark.parametrize("stop", [Interrupted("SIGTERM"), KeyError("bug")])
def test_an_end_in_the_middle_destroys_every_workspace(site: Site, stop: BaseException) -> None:
    (his, _), (lis, _), (mi, _) = another(site, "his"), another(site, "lis"), another(site, "mi")
    up = threading.Barrier(2)

    class Ends(FakeCheck):
        def run(self, restored: object) -> CheckResult:
            up.wait(30)
            raise stop

    class Stays(FakeCheck):
        def run(self, restored: object) -> CheckResult:
            up.wait(30)
            site.bench.work.refuse_stopped()
            while True:
                threading.Event().wait(0.001)
                site.bench.work.refuse_stopped()

    systems = (replace(his, checks=(Ends(),)), replace(lis, checks=(Stays(),)), mi)
    with pytest.raises(type(stop)):
        drill(site.bench, site.plan(systems=systems, limits=replace(ROOM, parallel=2)))
    assert len(site.scratch.opened) == 2
    assert list(site.scratch.directory.iterdir()) == []
    assert site.scratch.halted >= 1
    assert site.evidence.sealed == []
    (run,) = site.catalog.runs(kind=RunKind.DRILL)
    assert run.status is (RunStatus.INTERRUPTED if isinstance(stop, Interrupted) else RunStatus.FAILED)
