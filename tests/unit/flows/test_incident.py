"""T0 to T3 as people tell them, beside T4 to T6 as they are measured."""

from dataclasses import replace
from datetime import datetime, timedelta
from zoneinfo import ZoneInfo

import pytest

from drmgr.cli.restoring.restored import course_json
from drmgr.errors import UsageError
from drmgr.evidence.build import metrics_json
from drmgr.flows.backup import backup
from drmgr.flows.incident import Addition, Known, merged, note, refuse_disorder
from drmgr.flows.restore import restore
from drmgr.flows.restoreplan import RestorePlan, ToScratch
from drmgr.model import NOTHING_TOLD, About, OccasionKind, RunKind, Text, Timeline, Told
from tests.support.fakes import START
from tests.unit.flows.conftest import Site

HOUR = timedelta(hours=1)
MINUTE = timedelta(minutes=1)


def test_rto_and_rpo_count_from_the_fault_when_it_is_known(site: Site) -> None:
    backup(site.bench, site.wired)
    site.clock.sleep(7200)
    begun = site.clock.now()
    told = Told(begun - HOUR, begun - 50 * MINUTE, None, begun - MINUTE)
    done = restore(
        site.bench, site.wired, RestorePlan("latest", ToScratch(HOUR), occasion=OccasionKind.INCIDENT, told=told)
    )

    line, point = done.outcome.timeline, done.outcome.point
    assert point is not None
    assert (line.t0, line.t1, line.t2, line.t3) == told.stages()
    assert (line.begun, line.counted_from) == (begun, "t0")
    assert line.t6 is not None
    assert done.outcome.rto.measured == (line.t6 - begun + HOUR).total_seconds()
    assert done.outcome.rpo.measured == (begun - HOUR - point.consistent_at).total_seconds()
    assert done.record.started_at == begun


def test_what_is_not_told_stays_unknown(site: Site) -> None:
    backup(site.bench, site.wired)
    site.clock.sleep(7200)
    plan = RestorePlan("latest", ToScratch(HOUR), occasion=OccasionKind.INCIDENT)
    done = restore(site.bench, site.wired, plan)

    line, point = done.outcome.timeline, done.outcome.point
    assert point is not None
    assert line.begun is not None
    assert (line.t0, line.t1, line.t2, line.t3, line.counted_from) == (None, None, None, None, "begun")
    assert done.outcome.rto.measured is not None
    assert done.outcome.rpo.measured == (line.begun - point.consistent_at).total_seconds()


def test_a_point_made_after_the_fault_is_not_told_to_meet_the_rpo(site: Site) -> None:
    backup(site.bench, site.wired)
    made = site.clock.now()
    site.clock.sleep(60)
    plan = RestorePlan("latest", ToScratch(HOUR), occasion=OccasionKind.INCIDENT, told=Told(made - HOUR))
    outcome = restore(site.bench, site.wired, plan).outcome
    # nothing from before the fault is lost, and its damage may be in what came back
    assert (outcome.timeline.after_fault, outcome.rpo.measured) == (True, None)
    told = metrics_json(ZoneInfo("UTC"), "his", outcome.timeline, outcome.rto, outcome.rpo)
    assert (told["after_fault"], told["rpo"]) == (True, {"target": outcome.rpo.target, "measured": None, "met": None})
    assert course_json(outcome)["rpo"]["met"] is None


def test_a_simulation_declares_its_fault(site: Site) -> None:
    backup(site.bench, site.wired)
    line = restore(site.bench, site.wired, RestorePlan("latest", ToScratch(HOUR))).outcome.timeline
    assert line.t0 == line.t1 == line.t2 == line.t3 == line.begun


@pytest.mark.parametrize(
    ("told", "words"),
    [
        (Told(START, START - MINUTE), r"T1 \(noticed\) .* is before T0"),
        (Told(fault=START - HOUR, decided=START - 2 * HOUR), r"T3 \(decided\) .* is before T0"),
        (Told(accepted=START + MINUTE), r"T2 \(accepted\) .* is after the restore began"),
    ],
)
def test_times_out_of_order_or_ahead_are_refused(told: Told, words: str) -> None:
    with pytest.raises(UsageError, match=words):
        refuse_disorder(told, START)


def test_times_may_be_equal_and_may_be_missing() -> None:
    refuse_disorder(NOTHING_TOLD, START)
    refuse_disorder(Told(START, START, START, START), START)
    refuse_disorder(Told(START - HOUR, None, None, START), START)


def at(minutes: float) -> datetime:
    return START + minutes * MINUTE


def known(*told: Told) -> Known:
    about = About("E1", "DR-1", 1, "h", "R1", "restore-his", Text("医", "HIS"), "his", {"verdict": "passed"})
    line = Timeline(None, at(-30), None, None, at(0.1), at(5), at(6), begun=at(0), brought_back=at(-90))
    return Known(about, line, 7200, 3600, told)


def test_a_note_adds_and_later_words_count(site: Site) -> None:
    entry = note(site.bench, site.evidence, known(Told(fault=at(-60))), Addition(Told(fault=at(-40)), cause="disk"))

    (kept,) = site.evidence.notes
    assert kept.told == Told(fault=at(-40))
    assert (kept.timeline.t0, kept.timeline.t1) == (at(-40), at(-30))
    assert kept.timeline.seconds_to_verified() == 46 * 60
    assert kept.timeline.seconds_lost() == 50 * 60
    (run,) = site.catalog.runs("his", RunKind.INCIDENT_NOTE)
    assert (run.detail["evidence"], run.id) == (entry.id, kept.run)


@pytest.mark.parametrize(
    "added",
    [Addition(), Addition(Told(fault=at(-20))), Addition(Told(decided=at(1)))],
    ids=["nothing", "after it was noticed", "after the restore began"],
)
def test_a_note_that_says_nothing_or_cannot_be_true_is_refused(site: Site, added: Addition) -> None:
    with pytest.raises(UsageError):
        note(site.bench, site.evidence, known(), added)
    assert site.evidence.notes == []


def test_a_note_that_tells_an_earlier_fault_takes_the_rpo_back(site: Site) -> None:
    line = merged(known().timeline, (Told(fault=at(-100)),))
    assert (line.after_fault, line.seconds_lost()) == (True, None)
    assert not merged(known().timeline, (Told(fault=at(-80)),)).after_fault
    assert not known().timeline.after_fault


def test_of_a_restore_that_failed_nothing_is_counted(site: Site) -> None:
    line = replace(known().timeline, t6=None)
    assert (line.seconds_to_verified(), line.seconds_lost()) == (None, None)
