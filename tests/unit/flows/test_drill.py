import json
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import pytest

from drmgr.errors import (
    DrmgrError,
    EvidenceError,
    Interrupted,
    LoadError,
    LockedError,
    RepositoryDamagedError,
    RepositoryUnreachableError,
    SourceError,
)
from drmgr.flows.backup import BackupDone, backup
from drmgr.flows.drill import drill
from drmgr.flows.points import SEAL_NAME
from drmgr.model import CheckResult, CheckStatus, Instance, Level, Origin, RunKind, RunStatus, Verdict
from tests.support.fake_repository import FakeRepository
from tests.support.fakes import FakeCheck
from tests.unit.flows.conftest import Site


@pytest.fixture
def done(site: Site) -> BackupDone:
    return backup(site.bench, site.wired)


def flip(path: Path) -> None:
    content = bytearray(path.read_bytes())
    content[0] ^= 1
    path.write_bytes(content)


def stored_file(site: Site, done: BackupDone, source: str) -> Path:
    return site.folder / "repository" / done.point.member(source).snapshot / "files" / "b.txt"


def test_a_good_backup_passes_with_its_times_measured(site: Site, done: BackupDone) -> None:
    site.clock.sleep(900)
    t0 = site.clock.now()
    site.engines["main"].load_seconds, site.engines["images"].load_seconds = 100, 20
    played = drill(site.bench, site.plan())
    (outcome,) = played.record.outcomes
    assert (played.record.verdict, played.record.level, outcome.error) == (Verdict.PASSED, Level.BUSINESS, None)
    assert outcome.point == done.point
    assert (outcome.rto.measured, outcome.rto.met) == (120, True)
    assert (outcome.rpo.measured, outcome.rpo.met) == (900, True)
    line = outcome.timeline
    assert (line.t0, line.t5, line.t6) == (t0, t0 + timedelta(seconds=120), t0 + timedelta(seconds=120))
    assert [phase.seconds for phase in outcome.phases if phase.name == "load"] == [100, 20]
    assert site.evidence.sealed == [played.record]
    (run,) = site.catalog.runs(kind=RunKind.DRILL)
    assert (run.status, run.detail["verdict"], run.detail["evidence"]) == (RunStatus.OK, "passed", "E1")


def test_a_drill_says_where_all_came_from_and_into_what(site: Site, done: BackupDone) -> None:
    wired = replace(site.wired, medium="s3", key_version="3")
    site.engines["images"].raises["versions"] = SourceError("it does not say")
    (outcome,) = drill(site.bench, site.plan(systems=(wired,))).record.outcomes

    document = json.loads(site.repository.read_bytes(done.seal, SEAL_NAME))
    into = {"main": {"server": "1.3"}, "images": {}}
    assert outcome.origin == Origin("s3", "3", document["sha256"], into=into)
    assert outcome.verdict is Verdict.PASSED


def test_scratch_is_destroyed_and_the_proof_is_in_the_record(site: Site, done: BackupDone) -> None:
    record = drill(site.bench, site.plan()).record
    assert [proof.gone for proof in record.destruction] == [True]
    assert list(site.scratch.directory.iterdir()) == []


@pytest.mark.parametrize(("wait", "load", "missed"), [(3601, 0, "rpo"), (0, 7201, "rto")])
def test_a_missed_objective_fails_the_drill(site: Site, done: BackupDone, wait: int, load: int, missed: str) -> None:
    site.clock.sleep(wait)
    site.engines["main"].load_seconds = load
    record = drill(site.bench, site.plan()).record
    assert record.verdict is Verdict.FAILED
    assert not getattr(record.outcomes[0], missed).met
    (run,) = site.catalog.runs(kind=RunKind.DRILL)
    assert run.status is RunStatus.FAILED


def test_a_clock_set_back_does_not_shorten_the_recovery(
    site: Site, done: BackupDone, monkeypatch: pytest.MonkeyPatch
) -> None:
    site.clock.sleep(60)
    site.engines["main"].load_seconds = 7300
    real = site.engines["main"].integrity

    def meanwhile(of: Instance) -> CheckResult:
        site.clock.set_back(7000)
        return real(of)

    monkeypatch.setattr(site.engines["main"], "integrity", meanwhile)
    (outcome,) = drill(site.bench, site.plan()).record.outcomes
    assert outcome.rto.measured == 7300
    assert outcome.verdict is Verdict.FAILED


def test_a_level_that_was_not_reached_fails_the_drill(site: Site, done: BackupDone) -> None:
    record = drill(site.bench, site.plan(level=Level.ACROSS)).record
    assert (record.verdict, record.level) == (Verdict.FAILED, Level.BUSINESS)


@pytest.mark.parametrize(
    ("check", "verdict"),
    [
        (FakeCheck(status=CheckStatus.FAIL), Verdict.FAILED),
        (FakeCheck(status=CheckStatus.SKIPPED), Verdict.ERROR),
        (FakeCheck(error=SourceError("no such table")), Verdict.ERROR),
        (FakeCheck(source="other"), Verdict.ERROR),
    ],
)
def test_one_check_that_does_not_pass_decides(site: Site, done: BackupDone, check: FakeCheck, verdict: Verdict) -> None:
    plan = site.plan(systems=(site.with_checks(check),))
    record = drill(site.bench, plan).record
    assert record.verdict is verdict
    assert record.outcomes[0].checks[-1].status is not CheckStatus.PASS


def test_a_drill_without_checks_proves_nothing(site: Site, done: BackupDone) -> None:
    plan = site.plan(systems=(replace(site.wired, checks=()),), level=Level.STRUCTURE)
    assert drill(site.bench, plan).record.verdict is Verdict.ERROR


def test_a_bug_in_a_check_is_not_a_skipped_check(site: Site, done: BackupDone) -> None:
    check = FakeCheck(error=KeyError("low"))  # type: ignore[arg-type]
    with pytest.raises(KeyError):
        drill(site.bench, site.plan(systems=(site.with_checks(check),)))
    assert list(site.scratch.directory.iterdir()) == []


def test_a_flipped_bit_in_the_repository_fails_the_drill(site: Site, done: BackupDone) -> None:
    flip(stored_file(site, done, "images"))
    (outcome,) = drill(site.bench, site.plan()).record.outcomes
    assert (outcome.verdict, outcome.level, outcome.rto.met, outcome.rpo.met) == (Verdict.FAILED, 0, False, False)
    assert outcome.error is not None and outcome.error["code"] == RepositoryDamagedError.code
    assert outcome.timeline.t6 is None
    assert [phase.ok for phase in outcome.phases][-1] is False
    assert len(site.evidence.sealed) == 1


def test_changed_data_under_a_sound_load_fails_by_its_facts(
    site: Site, done: BackupDone, monkeypatch: pytest.MonkeyPatch
) -> None:
    real = site.engines["main"].load

    def wrong(restored: Path, *rest: object) -> object:
        flip(restored / "data" / "b.txt")
        return real(restored, *rest)  # type: ignore[arg-type]

    monkeypatch.setattr(site.engines["main"], "load", wrong)
    (outcome,) = drill(site.bench, site.plan()).record.outcomes
    assert (outcome.verdict, outcome.level) == (Verdict.FAILED, Level.INTEGRITY)
    assert [check.name for check in outcome.checks if check.status is CheckStatus.FAIL] == ["facts-main"]


@pytest.mark.parametrize(
    ("raised", "verdict"),
    [(LoadError("it does not load"), Verdict.FAILED), (RepositoryUnreachableError("away"), Verdict.ERROR)],
)
def test_what_stops_a_drill_is_sealed_too(site: Site, done: BackupDone, raised: DrmgrError, verdict: Verdict) -> None:
    site.engines["images"].raises = {"load": raised}
    record = drill(site.bench, site.plan()).record
    assert record.verdict is verdict
    assert site.evidence.sealed == [record]
    assert record.outcomes[0].error is not None
    assert list(site.scratch.directory.iterdir()) == []
    (run,) = site.catalog.runs(kind=RunKind.DRILL)
    assert run.status is RunStatus.FAILED


def test_no_point_at_all_is_an_error_not_a_pass(site: Site) -> None:
    record = drill(site.bench, site.plan()).record
    assert record.verdict is Verdict.ERROR
    assert record.outcomes[0].point is None


def test_a_damaged_listing_fails_the_drill_though_another_point_restores(site: Site, done: BackupDone) -> None:
    second = backup(site.bench, site.wired)
    (site.folder / "repository" / second.seal / "snapshot.json").write_text("{")
    (outcome,) = drill(site.bench, site.plan()).record.outcomes
    assert outcome.verdict is Verdict.FAILED
    assert outcome.point == done.point
    assert (outcome.checks[0].name, outcome.checks[0].status) == ("points-readable", CheckStatus.FAIL)


def test_a_lost_seal_is_not_made_good_by_the_catalogs_memory(site: Site, done: BackupDone) -> None:
    flip(site.folder / "repository" / done.seal / "files" / "recovery-point.json")
    record = drill(site.bench, site.plan()).record
    assert record.verdict is Verdict.FAILED


def test_a_catalog_that_remembers_wrongly_does_not_pass(site: Site, done: BackupDone) -> None:
    site.clock.sleep(5000)
    younger = replace(done.point, consistent_at=site.clock.now())
    site.catalog.points[done.seal] = younger
    record = drill(site.bench, site.plan()).record
    assert record.verdict is Verdict.ERROR
    assert record.outcomes[0].error is not None and "catalog" in record.outcomes[0].error["message"]


def test_one_system_that_fails_does_not_keep_the_next_from_its_turn(site: Site, done: BackupDone) -> None:
    other = replace(site.wired.system, id="pacs")
    absent = replace(site.wired, system=other, repository=FakeRepository(site.folder / "nowhere"))
    record = drill(site.bench, site.plan(systems=(absent, site.wired))).record
    assert [outcome.verdict for outcome in record.outcomes] == [Verdict.ERROR, Verdict.PASSED]
    assert (record.verdict, record.level) == (Verdict.ERROR, Level.STRUCTURE)


def test_an_interruption_is_recorded_and_leaves_nothing(site: Site, done: BackupDone) -> None:
    site.engines["images"].raises = {"load": Interrupted("SIGINT")}
    with pytest.raises(Interrupted):
        drill(site.bench, site.plan())
    (run,) = site.catalog.runs(kind=RunKind.DRILL)
    assert run.status is RunStatus.INTERRUPTED
    assert run.error is not None and "SIGINT" in run.error["message"]
    assert list(site.scratch.directory.iterdir()) == []
    assert site.evidence.sealed == []


def test_evidence_that_cannot_be_sealed_is_not_passed_over(site: Site, done: BackupDone) -> None:
    site.evidence.broken = True
    with pytest.raises(EvidenceError):
        drill(site.bench, site.plan())
    (run,) = site.catalog.runs(kind=RunKind.DRILL)
    assert run.status is RunStatus.FAILED


def test_one_drill_of_a_name_at_a_time(site: Site, done: BackupDone) -> None:
    with site.bench.locks.hold("drill-d"), pytest.raises(LockedError):
        drill(site.bench, site.plan())
    assert site.scratch.opened == []
