"""A drill of systems that must agree: they are up together, and what they do not agree on fails both."""

from collections.abc import Mapping
from dataclasses import dataclass, replace

import pytest

from drmgr.errors import LoadError, SourceError
from drmgr.flows.backup import backup
from drmgr.flows.bench import WiredSystem
from drmgr.flows.drill import drill
from drmgr.model import CheckResult, CheckStatus, Level, Restored, Verdict
from tests.support.fake_repository import FakeRepository
from tests.unit.flows.conftest import Site


@dataclass
class Agreement:
    """Looks whether both are really there when it is asked."""

    status: CheckStatus = CheckStatus.PASS
    error: SourceError | None = None
    name: str = "agree"
    level: Level = Level.ACROSS
    systems: tuple[str, ...] = ("his", "lis")

    def run(self, restored: Mapping[str, Restored]) -> CheckResult:
        if self.error:
            raise self.error
        for system in self.systems:
            path = restored[system].instance("main").path
            assert path is not None and (path / "b.txt").exists()
        return CheckResult(self.name, self.status, self.level, 0, 0)


@pytest.fixture
def both(site: Site) -> tuple[WiredSystem, WiredSystem]:
    repository = FakeRepository(site.folder / "other-repository")
    repository.init()
    lis = replace(site.wired, system=replace(site.wired.system, id="lis"), repository=repository)
    for wired in (site.wired, lis):
        backup(site.bench, wired)
    return site.wired, lis


def test_agreement_of_systems_is_level_five_and_both_were_up(site: Site, both: tuple[WiredSystem, ...]) -> None:
    record = drill(site.bench, site.plan(systems=both, across=(Agreement(),), level=Level.ACROSS)).record

    assert (record.verdict, record.level) == (Verdict.PASSED, Level.ACROSS)
    assert [proof.gone for proof in record.destruction] == [True, True]
    assert [outcome.checks[-1].name for outcome in record.outcomes] == ["agree", "agree"]
    (step,) = record.phases
    ends = [phase.finished_at for outcome in record.outcomes for phase in outcome.phases]
    assert (step.name, step.system, step.ok, step.started_at >= max(ends)) == ("verify-across", "", True, True)


@pytest.mark.parametrize(
    ("check", "verdict"),
    [
        (Agreement(CheckStatus.FAIL), Verdict.FAILED),
        (Agreement(error=SourceError("no such table")), Verdict.ERROR),
    ],
)
def test_disagreement_fails_and_what_could_not_be_looked_at_is_no_pass(
    site: Site, both: tuple[WiredSystem, ...], check: Agreement, verdict: Verdict
) -> None:
    record = drill(site.bench, site.plan(systems=both, across=(check,))).record

    assert {outcome.verdict for outcome in record.outcomes} == {verdict}
    assert record.verdict is verdict
    assert record.level is Level.BUSINESS


def test_a_system_that_did_not_come_back_leaves_nothing_proven(site: Site, both: tuple[WiredSystem, ...]) -> None:
    site.engines["images"].raises["load"] = LoadError("does not load")
    record = drill(site.bench, site.plan(systems=both, across=(Agreement(),))).record

    assert record.verdict is Verdict.FAILED
    assert {outcome.checks[-1].status for outcome in record.outcomes} == {CheckStatus.SKIPPED}
    assert [proof.gone for proof in record.destruction] == [True, True]


def test_what_depends_on_one_that_differs_from_a_third_is_not_lost(site: Site, both: tuple[WiredSystem, ...]) -> None:
    his, lis = both
    repository = FakeRepository(site.folder / "third-repository")
    repository.init()
    emr = replace(his, system=replace(his.system, id="emr", depends_on=("his",)), repository=repository)
    backup(site.bench, emr)

    outcomes = drill(
        site.bench, site.plan(systems=(his, lis, emr), across=(Agreement(CheckStatus.FAIL),))
    ).record.outcomes

    # the fault may lie in the one as in the other, and the HIS is back
    assert [each.verdict for each in outcomes] == [Verdict.FAILED, Verdict.FAILED, Verdict.PASSED]
    assert "depends-on-his" not in [check.name for check in outcomes[2].checks]
