"""How systems stand by their drills: everything that could make one look proven that is not."""

from datetime import UTC, datetime, timedelta

from drmgr.flows.backup import backup
from drmgr.flows.watched import DeclaredDrill
from drmgr.model import Measure, RunKind, RunStatus
from drmgr.system.cron import Cron
from tests.unit.flows.conftest import Site
from tests.unit.flows.looking import DAY, codes, look, proof


def test_drills_that_did_not_pass_or_whose_evidence_does_not_hold_are_trouble(site: Site) -> None:
    backup(site.bench, site.wired)
    assert look(site, proof(site)).ok
    assert codes(look(site, proof(site, "failed"))) == ["drill-failed"]
    assert codes(look(site, proof(site, "error"))) == ["drill-failed"]
    assert codes(look(site, proof(site, broken="tampered with"))) == ["evidence-broken"]


def test_a_drill_that_left_no_evidence_is_trouble(site: Site) -> None:
    backup(site.bench, site.wired)
    drills = (DeclaredDrill("d"),)
    played = proof(site)
    site.clock.sleep(10)
    run = site.catalog.open_run(RunKind.DRILL, "d")
    site.catalog.close_run(run.id, RunStatus.FAILED, {}, {"code": "scratch"})
    assert codes(look(site, played, drills=drills)) == ["drill-failed"]
    site.clock.sleep(10)
    assert look(site, proof(site), drills=drills).ok


def test_a_drill_is_overdue_by_its_schedule_and_by_the_quarter(site: Site) -> None:
    cron = Cron("0 3 1 * *", UTC)
    since = site.clock.now()
    drills = (DeclaredDrill("d", cron, since),)
    backup(site.bench, site.wired)
    first = proof(site)
    for days, expected in ((27, []), (28, ["drill-overdue"])):
        site.clock.sleep(
            (datetime(2026, 1, 5, 6, tzinfo=UTC) + timedelta(days=days) - site.clock.now()).total_seconds()
        )
        backup(site.bench, site.wired)
        assert codes(look(site, first, drills=drills)) == expected
    assert look(site, proof(site), drills=drills).ok
    # without a schedule: a quarter after the first backup, or after the last drill that passed
    site.clock.sleep(65 * DAY)
    backup(site.bench, site.wired)
    assert codes(look(site)) == ["drill-overdue"]
    assert codes(look(site, proof(site, days=93))) == ["drill-overdue"]
    assert look(site, proof(site, days=91)).ok


def test_a_failed_drill_does_not_make_one_that_passed_before_forgotten(site: Site) -> None:
    backup(site.bench, site.wired)
    site.clock.sleep(93 * DAY)
    backup(site.bench, site.wired)
    failed, now = proof(site, "failed"), site.clock.now()
    assert codes(look(site, failed, passed=now - timedelta(days=91))) == ["drill-failed"]
    assert codes(look(site, failed, passed=now - timedelta(days=93))) == ["drill-failed", "drill-overdue"]
    found = look(site, failed)
    assert codes(found) == ["drill-failed", "drill-overdue"]
    # how it was before then is not looked at
    assert found.problems[1].message.startswith("no drill has passed for 92 d or longer")


def test_a_drill_from_a_copy_that_passed_does_not_hide_one_from_the_store_that_did_not(site: Site) -> None:
    backup(site.bench, site.wired)
    drills = (DeclaredDrill("d"),)
    from_copy = proof(site, place="fire")
    found = look(site, proof(site, "failed", days=1), from_copy, drills=drills)
    assert [(each.code, each.subject) for each in found.problems] == [("drill-failed", "d")]
    found = look(site, proof(site), proof(site, "failed", place="fire"), drills=drills)
    assert [(each.code, each.subject) for each in found.problems] == [("drill-failed", "d from the copy fire")]
    assert look(site, proof(site), from_copy, drills=drills).ok


def test_a_drill_that_failed_is_not_forgotten_with_its_file(site: Site) -> None:
    backup(site.bench, site.wired)
    failed = proof(site, "failed", days=2, drill="gone", level=4)
    assert codes(look(site, failed)) == ["drill-failed"]
    other = (DeclaredDrill("d"),)
    # only one that proves as much of the same place, later, makes up for it
    for less in (
        {"level": 3},
        {"place": "fire", "level": 4},
        {"days": 3, "level": 4},
        {"level": 4, "verdict": "failed"},
    ):
        assert "drill-failed" in codes(look(site, failed, proof(site, **less), drills=other))
    assert look(site, failed, proof(site, level=4), drills=other).ok
    # and none at all while it is declared
    still = (*other, DeclaredDrill("gone"))
    assert codes(look(site, failed, proof(site, level=4), drills=still)) == ["drill-failed"]


def test_a_drill_that_took_longer_than_is_promised_now_is_trouble(site: Site) -> None:
    backup(site.bench, site.wired)
    slow = proof(site, rto=Measure(9000, 7201))
    assert codes(look(site, slow)) == ["rto-missed"]
    # the newest one that passed tells
    assert look(site, proof(site, days=1, drill="e", rto=Measure(9000, 7201)), proof(site)).ok


def test_a_system_stays_old_however_young_retention_keeps_its_points(site: Site) -> None:
    backup(site.bench, site.wired)
    for snapshot in site.repository.snapshots().snapshots:
        site.repository.forget([snapshot.id])
    site.catalog.expired.update(site.catalog.points)
    site.clock.sleep(93 * DAY)
    backup(site.bench, site.wired)
    begun = site.catalog.first_points()["his"]
    assert codes(look(site, begun=begun)) == ["drill-overdue"]
