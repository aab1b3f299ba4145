"""Ways in which data can be missing, old or unproven while all that was asked for went well: none of them is a pass."""

import json
import shutil
import threading
from collections.abc import Sequence
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import pytest

from drmgr.errors import Interrupted, PointNotFoundError, SourceError
from drmgr.flows.backup import BackupDone, backup
from drmgr.flows.bench import Source
from drmgr.flows.drill import drill
from drmgr.flows.points import find
from drmgr.flows.restore import restore
from drmgr.flows.restoreplan import RestorePlan, ToFolder, ToScratch
from drmgr.interfaces import Progress
from drmgr.model import (
    CheckResult,
    CheckStatus,
    Destruction,
    Level,
    Payload,
    RunKind,
    RunStatus,
    Snapshot,
    Stream,
    Verdict,
)
from tests.support.fake_catalog import FakeCatalog
from tests.support.fakes import FakeCheck, FakeClock
from tests.unit.flows.conftest import Site

SCRATCH = ToScratch(timedelta(hours=2))


def verdicts(checks: Sequence[CheckResult]) -> dict[str, CheckStatus]:
    return {check.name: check.status for check in checks if check.status is not CheckStatus.PASS}


def incomplete(site: Site, monkeypatch: pytest.MonkeyPatch) -> BackupDone:
    """A point whose images lack a file that could not be read."""
    real = site.repository.backup

    def partly(payload: Payload, tags: Sequence[str], progress: Progress) -> Snapshot:
        stored = real(payload, tags, progress)
        return replace(stored, complete=False, unreadable=("x",)) if "source=images" in tags else stored

    monkeypatch.setattr(site.repository, "backup", partly)
    done = backup(site.bench, site.wired)
    monkeypatch.undo()
    return done


def test_an_incomplete_point_never_passes_a_drill(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    done = incomplete(site, monkeypatch)
    (outcome,) = drill(site.bench, site.plan(point=done.point.id)).record.outcomes
    assert (outcome.verdict, outcome.level) == (Verdict.FAILED, Level.STRUCTURE)
    assert verdicts(outcome.checks) == {"point-complete": CheckStatus.FAIL}


@pytest.mark.parametrize("kind", [ToScratch, ToFolder])
def test_an_incomplete_point_comes_back_but_is_not_called_whole(
    site: Site, monkeypatch: pytest.MonkeyPatch, kind: type
) -> None:
    done = incomplete(site, monkeypatch)
    target = SCRATCH if kind is ToScratch else ToFolder(site.folder / "target", lambda: None)
    back = restore(site.bench, site.wired, RestorePlan(done.point.id, target))
    assert back.outcome.verdict is Verdict.FAILED
    assert set(back.instances) == {"main", "images"}
    whole = restore(site.bench, site.wired, RestorePlan(done.point.id, SCRATCH, ("main",)))
    assert whole.outcome.verdict is Verdict.PASSED


def test_an_older_point_in_place_of_the_latest_is_not_passed_over(site: Site) -> None:
    old = backup(site.bench, site.wired)
    new = backup(site.bench, site.wired)
    (site.folder / "repository" / new.seal / "snapshot.json").write_text("{")
    back = restore(site.bench, site.wired, RestorePlan("latest", SCRATCH))
    assert (back.outcome.point, back.outcome.verdict) == (old.point, Verdict.FAILED)
    assert verdicts(back.outcome.checks) == {"points-readable": CheckStatus.FAIL}
    chosen = restore(site.bench, site.wired, RestorePlan(old.point.id, SCRATCH))
    assert chosen.outcome.verdict is Verdict.PASSED


def test_a_point_that_vanished_with_all_its_traces_is_missed(site: Site) -> None:
    kept, gone = backup(site.bench, site.wired), backup(site.bench, site.wired)
    for place in site.snapshots():
        if f"point={gone.point.id}" in json.loads((place / "snapshot.json").read_text())["tags"]:
            shutil.rmtree(place)
    found = find(site.repository, site.catalog, "his")
    assert [offered.seal for offered in found.points] == [kept.seal]
    assert len(found.problems) == 1 and gone.point.id in found.problems[0]
    assert drill(site.bench, site.plan()).record.verdict is Verdict.FAILED
    # without memory nobody can tell
    assert find(site.repository, FakeCatalog(), "his").problems == ()


def test_every_system_of_a_drill_waits_from_the_same_fault(site: Site) -> None:
    backup(site.bench, site.wired)
    other = replace(site.wired, system=replace(site.wired.system, id="second"))
    backup(site.bench, other)
    site.clock.sleep(60)
    site.engines["main"].load_seconds = 4000
    record = drill(site.bench, site.plan(systems=(site.wired, other))).record
    assert [outcome.rto.measured for outcome in record.outcomes] == [4000, 8000]
    assert [outcome.rpo.measured for outcome in record.outcomes] == [60, 60]
    assert [outcome.verdict for outcome in record.outcomes] == [Verdict.PASSED, Verdict.FAILED]


def test_a_point_made_after_the_fault_does_not_help(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    before = backup(site.bench, site.wired)
    slow, real = replace(site.wired, system=replace(site.wired.system, id="slow")), site.engines["main"].integrity
    backup(site.bench, slow)

    def meanwhile(*of: object) -> object:
        monkeypatch.undo()
        site.clock.sleep(1000)
        backup(site.bench, site.wired)
        return real(*of)  # type: ignore[arg-type]

    monkeypatch.setattr(site.engines["main"], "integrity", meanwhile)
    record = drill(site.bench, site.plan(systems=(slow, site.wired))).record
    assert record.outcomes[1].point == before.point
    assert record.verdict is Verdict.PASSED


def test_a_source_whose_clock_is_ahead_does_not_make_the_point_younger(
    site: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    ahead = site.clock.now() + timedelta(hours=3)
    start, engine = site.clock.now(), site.engines["main"]
    monkeypatch.setattr(engine, "clock", FakeClock())
    engine.clock.sleep(3 * 3600)
    done = backup(site.bench, replace(site.wired, sources=(Source("main", engine),)))
    assert done.point.member("main").consistent_at == ahead
    assert done.point.consistent_at == start


def test_a_source_that_the_job_has_no_more_is_told(site: Site) -> None:
    backup(site.bench, site.wired)
    fewer = replace(site.wired, sources=site.wired.sources[:1])
    back = restore(site.bench, fewer, RestorePlan("latest", SCRATCH))
    assert back.outcome.verdict is Verdict.FAILED
    assert verdicts(back.outcome.checks)["sources-complete"] is CheckStatus.FAIL
    with pytest.raises(PointNotFoundError, match="images"):
        restore(site.bench, fewer, RestorePlan("latest", SCRATCH, ("images",)))


def test_a_drill_without_a_source_that_the_point_holds_does_not_pass(site: Site) -> None:
    backup(site.bench, site.wired)
    fewer = replace(site.wired, sources=site.wired.sources[:1])
    record = drill(site.bench, site.plan(systems=(fewer,))).record
    assert record.verdict is Verdict.FAILED
    (told,) = [check for check in record.outcomes[0].checks if check.name == "sources-complete"]
    assert (told.status, told.actual) == (CheckStatus.FAIL, 1)
    assert "images" in told.message
    assert "--source" not in told.message


def test_a_program_that_wrote_nothing_made_no_backup(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    empty = Stream("data", ("true",), "x.dump")
    monkeypatch.setattr("tests.support.fakes.Tree", lambda *_: empty)
    with pytest.raises(SourceError, match="nothing"):
        backup(site.bench, site.wired)
    assert find(site.repository, site.catalog, "his").points == ()


def test_scratch_that_is_not_gone_is_not_passed(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    backup(site.bench, site.wired)
    real = site.scratch.destructions

    def still_there() -> tuple[Destruction, ...]:
        return tuple(replace(proof, gone=False) for proof in real())

    monkeypatch.setattr(site.scratch, "destructions", still_there)
    assert drill(site.bench, site.plan()).record.verdict is Verdict.ERROR


def test_an_answer_in_words_is_not_shown_to_anybody(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    backup(site.bench, site.wired)
    told = CheckResult("question", CheckStatus.FAIL, Level.BUSINESS, "王 五", {"rows": 1, "name": "王 五"})
    monkeypatch.setattr(FakeCheck, "run", lambda _self, _restored: told)
    back = restore(site.bench, site.wired, RestorePlan("latest", SCRATCH))
    assert "王" not in repr(back.outcome.checks)
    assert back.outcome.checks[-1].actual["rows"] == 1


def test_a_signal_does_not_wait_for_the_longest_part(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    """It arrives in the main thread, so that is where the longest part must be at work."""
    threads: list[threading.Thread] = []
    real = site.repository.backup

    def watched(payload: Payload, tags: Sequence[str], progress: Progress) -> Snapshot:
        if payload.part == "data":
            threads.append(threading.current_thread())
            raise Interrupted("SIGTERM")
        return real(payload, tags, progress)

    monkeypatch.setattr(site.repository, "backup", watched)
    with pytest.raises(Interrupted):
        backup(site.bench, site.wired)
    assert threads == [threading.main_thread()]
    (run,) = site.catalog.runs(kind=RunKind.BACKUP)
    assert run.status is RunStatus.INTERRUPTED
    assert not (Path(site.scratch.directory)).exists()
