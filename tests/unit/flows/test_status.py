"""How systems stand: everything that could make it say 'ok' falsely."""

from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime, timedelta
from pathlib import Path

import pytest

from drmgr.errors import RepositoryUnreachableError, SourceError
from drmgr.flows.backup import backup
from drmgr.flows.status import by_trouble, health
from drmgr.flows.watch import watch
from drmgr.flows.watched import DeclaredDrill, Watched
from drmgr.interfaces import Progress
from drmgr.model import Payload, RunKind, RunStatus, Snapshot, Swap, SwapPhase
from drmgr.trouble import Delivery
from tests.support.fake_repository import FakeRepository
from tests.support.schedule_book import FakeAlarmBook
from tests.unit.flows.conftest import Site
from tests.unit.flows.looking import codes, look, proof

DAY = 86400.0


def test_a_fresh_backup_is_all_well(site: Site) -> None:
    done = backup(site.bench, site.wired)
    site.clock.sleep(60)
    found = look(site)
    assert found.ok
    assert found.rpo_met
    assert found.point == done.point
    assert found.age is not None
    assert 60 <= found.age < 70


def test_an_old_backup_misses_the_rpo_although_every_run_was_ok(site: Site) -> None:
    backup(site.bench, site.wired)
    site.clock.sleep(3601)
    found = look(site)
    assert codes(found) == ["rpo-missed"]
    assert not found.rpo_met
    assert found.problems[0].figures["rpo"] == 3600


def test_a_run_that_runs_for_unreasonably_long_is_trouble(site: Site) -> None:
    drills = (DeclaredDrill("his-restore"),)
    backup(site.bench, site.wired)
    for kind, name in ((RunKind.SHIP, "his"), (RunKind.COPY, "his"), (RunKind.DRILL, "his-restore")):
        site.catalog.open_run(kind, name)
    # neither is a run of this system
    site.catalog.open_run(RunKind.DRILL, "his")
    site.catalog.open_run(RunKind.BACKUP, "lis")

    def overlong() -> list[str]:
        return [each.subject for each in look(site, drills=drills).problems if each.code == "run-overlong"]

    site.clock.sleep(7100)
    assert overlong() == []
    site.clock.sleep(200)
    assert overlong() == ["ship his"]
    site.clock.sleep(DAY)
    assert sorted(overlong()) == ["copy his", "drill his-restore", "ship his"]


def test_a_run_may_take_twice_as_long_as_any_before_it(site: Site) -> None:
    backup(site.bench, site.wired)
    usual = site.catalog.open_run(RunKind.COPY, "his")
    site.clock.sleep(DAY)
    site.catalog.close_run(usual.id, RunStatus.OK, {})
    site.catalog.open_run(RunKind.COPY, "his")
    site.clock.sleep(1.9 * DAY)
    assert "run-overlong" not in codes(look(site))
    site.clock.sleep(0.2 * DAY)
    assert "run-overlong" in codes(look(site))


@pytest.mark.parametrize("phase", list(SwapPhase))
def test_a_restore_in_place_that_was_not_ended_is_trouble(site: Site, phase: SwapPhase) -> None:
    backup(site.bench, site.wired)
    swap = Swap("R1", "his", phase, "P1", "lost", site.clock.now(), ("main",))
    watched = Watched(site.wired.system, site.repository, frozenset(), (), (), timedelta(days=92), swaps=lambda: [swap])
    wanted = phase in (SwapPhase.PROVEN, SwapPhase.SWAPPING, SwapPhase.UNDOING)
    assert ("swap-unfinished" in codes(health(watched, site.catalog, site.clock))) is wanted


def test_an_empty_repository_is_trouble_whatever_the_catalog_remembers(site: Site, tmp_path: Path) -> None:
    backup(site.bench, site.wired)
    site.catalog.forget_points("his")
    site.repository = FakeRepository(tmp_path / "other")
    site.repository.init()
    found = look(site)
    assert codes(found) == ["no-point"]
    assert not found.rpo_met


def test_a_point_that_the_repository_lost_is_trouble(site: Site, tmp_path: Path) -> None:
    backup(site.bench, site.wired)
    site.repository = FakeRepository(tmp_path / "other")
    site.repository.init()
    assert codes(look(site)) == ["point-damaged", "no-point"]


def test_a_repository_that_cannot_be_reached_is_trouble_and_the_drills_are_looked_at_all_the_same(
    site: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    backup(site.bench, site.wired)

    def away(tags: object = ()) -> None:
        raise RepositoryUnreachableError("the store does not answer")

    monkeypatch.setattr(site.repository, "snapshots", away)
    found = look(site, proof(site, "failed"))
    assert codes(found) == ["repository-unreachable", "drill-failed"]
    assert not found.rpo_met
    assert found.age is None


def test_a_clock_that_is_behind_is_trouble_and_no_rpo_is_met_by_it(site: Site) -> None:
    backup(site.bench, site.wired)
    site.clock.set_back(3600)
    found = look(site)
    assert "clock" in codes(found)
    assert not found.rpo_met


def test_a_clock_that_was_set_back_shows_in_the_runs_even_without_a_point(site: Site) -> None:
    site.engines["main"].raises["capture"] = SourceError("away")
    with pytest.raises(SourceError):
        backup(site.bench, site.wired)
    site.clock.set_back(3600)
    assert set(codes(look(site))) == {"no-point", "clock", "run-failed"}


def test_a_failed_run_is_trouble_until_one_succeeds_and_a_locked_one_is_none(site: Site) -> None:
    backup(site.bench, site.wired)
    site.clock.sleep(10)
    run = site.catalog.open_run(RunKind.BACKUP, "his")
    site.catalog.close_run(run.id, RunStatus.FAILED, {}, {"code": "locked"})
    assert look(site).ok
    site.clock.sleep(10)
    for status in (RunStatus.FAILED, RunStatus.INTERRUPTED):
        run = site.catalog.open_run(RunKind.BACKUP, "his")
        site.catalog.close_run(run.id, status, {}, {"code": "source"})
        found = look(site)
        assert codes(found) == ["run-failed"]
        assert found.problems[0].figures == {"error": "source"}
        site.clock.sleep(10)
    backup(site.bench, site.wired)
    assert look(site).ok


def shipped(site: Site, source: str, error: str = "") -> None:
    site.clock.sleep(10)
    run = site.catalog.open_run(RunKind.SHIP, "his")
    status = RunStatus.FAILED if error else RunStatus.OK
    site.catalog.close_run(run.id, status, {"source": source}, {"code": error} if error else None)


def test_a_log_that_is_not_shipped_is_trouble_though_that_of_another_source_is(site: Site) -> None:
    backup(site.bench, site.wired)
    for source, error in (("main", "source"), ("other", ""), ("removed since", "source")):
        shipped(site, source, error)
    shipped(site, "other")
    (problem,) = look(site, logged=frozenset({"main", "other"})).problems
    assert (problem.code, problem.subject, problem.figures) == ("run-failed", "ship main", {"error": "source"})
    shipped(site, "main")
    assert look(site, logged=frozenset({"main", "other"})).ok


def test_a_full_spool_is_an_alarm_of_its_own_once(site: Site) -> None:
    """The store has been away for long, which was told; that the server's disk fills now is news."""
    backup(site.bench, site.wired)
    book, heard = FakeAlarmBook(site.clock), Heard()
    for error in ("", "repository-unreachable", "repository-unreachable", "spool-full", "spool-full", ""):
        shipped(site, "main", error)
        for _ in range(2):
            watch(book, look(site, logged=frozenset({"main"})).problems, [heard], site.clock)
    assert heard.news == [
        "raised run-failed",
        "raised spool-full",
        "recovered run-failed",
        "recovered spool-full",
    ]


class Heard:
    """A recipient who notes all news."""

    name = "phone"

    def __init__(self) -> None:
        self.news: list[str] = []

    def send(self, deliveries: Sequence[Delivery], at: datetime) -> None:
        self.news += [f"{each.news} {each.alarm.code}" for each in deliveries]

    def test(self, at: datetime) -> None:
        raise NotImplementedError


def test_a_newest_point_that_is_incomplete_does_not_count_and_is_told(
    site: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    backup(site.bench, site.wired)
    site.clock.sleep(4000)
    whole = site.repository.backup

    def partly(payload: Payload, tags: Sequence[str], progress: Progress) -> Snapshot:
        return replace(whole(payload, tags, progress), complete=False, unreadable=("x",))

    monkeypatch.setattr(site.repository, "backup", partly)
    backup(site.bench, site.wired)
    assert codes(look(site)) == ["point-incomplete", "rpo-missed"]


def test_the_worst_comes_first_then_the_tier(site: Site) -> None:
    backup(site.bench, site.wired)
    well = look(site)
    drilled = look(site, proof(site, "failed"))
    site.clock.sleep(4000)
    old = look(site)
    lower = replace(well, system=replace(well.system, id="lis", tier=2))
    assert by_trouble([lower, well, drilled, old]) == [old, drilled, well, lower]


def test_a_suspicious_point_is_trouble(site: Site) -> None:
    backup(site.bench, site.wired)
    within = timedelta(days=92)
    watched = Watched(
        site.wired.system,
        site.repository,
        frozenset(),
        (),
        (),
        within,
        lambda found: {found.points[-1].seal: "emptied"},
    )
    assert codes(health(watched, site.catalog, site.clock)) == ["point-suspicious"]


def test_a_source_of_which_there_is_no_backup_yet_is_trouble_though_the_point_is_fresh(site: Site) -> None:
    backup(site.bench, site.wired)
    assert look(site, sources=frozenset({"main", "images"})).ok
    found = look(site, sources=frozenset({"main", "images", "scans"}))
    assert codes(found) == ["source-unprotected"]
    assert "scans" in found.problems[0].message
    assert not found.rpo_met


def test_any_number_of_runs_that_found_the_system_locked_do_not_hide_a_failed_one(site: Site) -> None:
    backup(site.bench, site.wired)
    for code in ("source", *["locked"] * 30):
        run = site.catalog.open_run(RunKind.BACKUP, "his")
        site.catalog.close_run(run.id, RunStatus.FAILED, {}, {"code": code})
    assert codes(look(site)) == ["run-failed"]
