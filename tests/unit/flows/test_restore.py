from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import pytest

from drmgr.errors import (
    DrmgrError,
    LoadError,
    NotAllowedError,
    PointNotFoundError,
    PreflightError,
    RepositoryDamagedError,
    ScratchError,
    UsageError,
)
from drmgr.flows.backup import BackupDone, backup
from drmgr.flows.restore import restore
from drmgr.flows.restoreplan import RestorePlan, Target, ToConnection, ToFolder, ToScratch, planned
from drmgr.model import CheckStatus, Level, OccasionKind, RunKind, RunStatus, Verdict
from tests.support.fakes import FakeCheck, FakeEngine
from tests.unit.flows.conftest import Site
from tests.unit.flows.test_drill import flip, stored_file

SCRATCH = ToScratch(timedelta(hours=2))


@pytest.fixture
def done(site: Site) -> BackupDone:
    return backup(site.bench, site.wired)


def allowed() -> None:
    return


def refused() -> None:
    raise NotAllowedError("the site file does not allow it")


def folder_target(site: Site) -> ToFolder:
    return ToFolder(site.folder / "target", allowed)


def connection_target(site: Site, name: str = "fake") -> ToConnection:
    into = site.folder / "connection"
    into.mkdir()
    return ToConnection("spare", FakeEngine(site.folder / "main", site.clock, into=into, name=name), allowed)


def test_scratch_is_proven_and_kept(site: Site, done: BackupDone) -> None:
    site.engines["main"].load_seconds = 30
    back = restore(site.bench, site.wired, RestorePlan("latest", SCRATCH))
    assert (back.outcome.verdict, back.outcome.level, back.outcome.rto.measured) == (Verdict.PASSED, 4, 30)
    assert site.scratch.kept == {back.record.run: site.clock.now() + timedelta(hours=2)}
    main = back.instances["main"].path
    assert main is not None and (main / "deep" / "a.txt").read_text() == "main"
    assert (back.record.kind, back.record.occasion, back.record.target) == (
        RunKind.RESTORE,
        OccasionKind.SIMULATION,
        "scratch",
    )
    (run,) = site.catalog.runs(kind=RunKind.RESTORE)
    assert (run.status, run.detail["evidence"]) == (RunStatus.OK, "E1")


def test_its_record_says_from_where_and_into_what(site: Site, done: BackupDone) -> None:
    wired = replace(site.wired, copy="fire", memory=site.catalog, medium="folder", key_version="2")
    back = restore(site.bench, wired, RestorePlan("latest", SCRATCH))
    origin, into = back.outcome.origin, {"server": "1.3"}
    assert (back.record.copy, origin.medium, origin.key_version) == ("fire", "folder", "2")
    assert origin.into == {"main": into, "images": into}


def test_a_folder_gets_the_stored_files(site: Site, done: BackupDone) -> None:
    back = restore(site.bench, site.wired, RestorePlan(done.point.id[:20], folder_target(site)))
    assert (site.folder / "target" / "images" / "data" / "deep" / "a.txt").read_text() == "images"
    assert (back.outcome.verdict, back.outcome.level) == (Verdict.PASSED, Level.STRUCTURE)
    assert back.outcome.checks[0].actual == 4


def test_a_connection_gets_one_source_and_its_proofs(site: Site, done: BackupDone) -> None:
    target = connection_target(site)
    back = restore(site.bench, site.wired, RestorePlan("latest", target, ("main",), "the disk broke"))
    assert (site.folder / "connection" / "deep" / "a.txt").read_text() == "main"
    assert (back.outcome.verdict, back.record.reason) == (Verdict.PASSED, "the disk broke")
    skipped = {check.name for check in back.outcome.checks if check.status is CheckStatus.SKIPPED}
    assert skipped == {"opens-images", "facts-images", "integrity-images"}
    assert list(site.scratch.directory.iterdir()) == []


def test_what_was_left_out_on_purpose_is_skipped_but_nothing_else(site: Site, done: BackupDone) -> None:
    plan = RestorePlan("latest", SCRATCH, ("main",))
    assert restore(site.bench, site.wired, plan).outcome.verdict is Verdict.PASSED
    odd = site.with_checks(FakeCheck(error=KeyError("low")))  # type: ignore[arg-type]
    with pytest.raises(KeyError):
        restore(site.bench, odd, plan)


@pytest.mark.parametrize("kind", [ToFolder, ToConnection])
def test_permission_is_asked_before_anything_is_read_or_written(site: Site, kind: type) -> None:
    target: Target = (
        replace(folder_target(site), permit=refused)
        if kind is ToFolder
        else replace(connection_target(site), permit=refused)
    )
    # there is no point yet: to look for one would raise another error
    for act in (planned, restore):
        with pytest.raises(NotAllowedError):
            act(site.bench, site.wired, RestorePlan("latest", target, ("main",)))
    assert not (site.folder / "target").exists()
    assert site.scratch.opened == []
    (run,) = site.catalog.runs(kind=RunKind.RESTORE)
    assert run.status is RunStatus.FAILED
    assert run.error is not None and run.error["code"] == "not-allowed"


def test_a_dry_run_writes_nothing(site: Site, done: BackupDone) -> None:
    assert planned(site.bench, site.wired, RestorePlan("latest", folder_target(site)))[0].point == done.point
    assert not (site.folder / "target").exists()
    assert site.catalog.runs(kind=RunKind.RESTORE) == []
    assert site.evidence.sealed == []


def test_a_target_that_does_not_fit_is_refused(site: Site, done: BackupDone) -> None:
    target = connection_target(site)
    with pytest.raises(UsageError, match="one source"):
        planned(site.bench, site.wired, RestorePlan("latest", target))
    other = replace(target, engine=replace(target.engine, name="mariadb"))  # type: ignore[type-var]
    with pytest.raises(UsageError, match="mariadb"):
        planned(site.bench, site.wired, RestorePlan("latest", other, ("main",)))
    with pytest.raises(PointNotFoundError, match="no source ghost"):
        planned(site.bench, site.wired, RestorePlan("latest", SCRATCH, ("ghost",)))


def test_a_source_younger_than_the_point_is_missed(site: Site, done: BackupDone) -> None:
    site.with_source("late")
    with pytest.raises(PointNotFoundError, match="late"):
        restore(site.bench, site.wired, RestorePlan("latest", SCRATCH))


@pytest.mark.parametrize(
    ("where", "raised"), [("load", LoadError("it does not load")), ("facts", ScratchError("the server died"))]
)
def test_what_goes_wrong_is_sealed(site: Site, done: BackupDone, where: str, raised: DrmgrError) -> None:
    site.engines["main"].raises = {where: raised}
    plan = RestorePlan("latest", SCRATCH)
    if where == "load":
        with pytest.raises(LoadError):
            restore(site.bench, site.wired, plan)
    else:
        assert restore(site.bench, site.wired, plan).outcome.verdict is Verdict.ERROR
    (record,) = site.evidence.sealed
    assert record.verdict is (Verdict.FAILED if where == "load" else Verdict.ERROR)
    (run,) = site.catalog.runs(kind=RunKind.RESTORE)
    assert (run.status, run.detail["evidence"]) == (RunStatus.FAILED, "E1")


def test_damage_ends_a_restore_and_leaves_no_scratch(site: Site, done: BackupDone) -> None:
    flip(stored_file(site, done, "images"))
    for target in (SCRATCH, folder_target(site)):
        with pytest.raises(RepositoryDamagedError):
            restore(site.bench, site.wired, RestorePlan("latest", target))
    assert list(site.scratch.directory.iterdir()) == []
    assert [record.verdict for record in site.evidence.sealed] == [Verdict.FAILED, Verdict.FAILED]


def test_the_catalog_is_not_believed_for_a_restore(site: Site, done: BackupDone) -> None:
    members = (done.point.members[1], done.point.members[0])
    site.catalog.points[done.seal] = replace(done.point, members=members)
    with pytest.raises(PreflightError, match="catalog"):
        restore(site.bench, site.wired, RestorePlan("latest", folder_target(site)))
    assert not (site.folder / "target").exists()


def test_a_folder_that_cannot_be_made_is_told(site: Site, done: BackupDone) -> None:
    (site.folder / "file").write_text("")
    target = ToFolder(Path(site.folder / "file" / "below"), allowed)
    with pytest.raises(ScratchError, match="cannot be made"):
        restore(site.bench, site.wired, RestorePlan("latest", target))
