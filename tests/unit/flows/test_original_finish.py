"""A restore in place that another command ends: it knows what the first was told, and invents nothing."""

from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta

import pytest

from drmgr.errors import SourceError, UsageError
from drmgr.flows.aim import Aim
from drmgr.flows.finish import finish
from drmgr.flows.restore import restore
from drmgr.flows.restoreplan import planned
from drmgr.flows.swap import undo
from drmgr.model import (
    NOTHING_TOLD,
    CheckResult,
    CheckStatus,
    Level,
    OccasionKind,
    Restored,
    SwapPhase,
    Told,
    Verdict,
    swap_from_json,
    swap_to_json,
)
from tests.support.fakes import FakeCheck
from tests.unit.flows.conftest import Site
from tests.unit.flows.ground import GOOD, SPOILT, Ground, allowed, moving_into, spoilt_site


@pytest.fixture
def ground(site: Site) -> Ground:
    return spoilt_site(site)


def test_a_check_that_was_failed_and_accepted_is_not_forgotten_when_another_command_ends_it(ground: Ground) -> None:
    # in place the facts are not asked any more: nothing there would tell that they were wrong
    ground.site.wired = ground.site.with_checks(FakeCheck("facts-main", Level.FACTS, CheckStatus.FAIL))
    ground.target = replace(ground.target, accept_failed=True)
    moving_into(ground.places["main"], ground, 0, SourceError("no"))
    with pytest.raises(SourceError):
        ground.restore()
    done = ground.finish()
    assert (done.outcome.verdict, ground.both()) == (Verdict.FAILED, GOOD)
    assert [check.name for check in done.outcome.checks if check.status is CheckStatus.FAIL] == ["facts-main"]
    # and again: the word of it stays with the restore
    assert ground.finish().outcome.verdict is Verdict.FAILED


def test_another_command_that_ends_it_invents_no_time_of_the_fault(ground: Ground) -> None:
    ground.restore()
    line = ground.finish().outcome.timeline
    assert (line.t0, line.t1, line.t2, line.t3, line.counted_from) == (None, None, None, None, "begun")


def test_another_command_that_ends_it_knows_what_the_first_was_told_and_reached(
    ground: Ground, monkeypatch: pytest.MonkeyPatch
) -> None:
    ground.site.clock.sleep(7200)
    began = ground.site.clock.now()
    fault, reached = began - timedelta(hours=1), began - timedelta(minutes=70)

    def further(*asked: object) -> tuple[Aim, tuple[CheckResult, ...]]:
        found, doubts = planned(*asked)  # type: ignore[arg-type]
        return replace(found, instant=reached), doubts

    monkeypatch.setattr("drmgr.flows.restore.planned", further)
    told = Told(fault, fault + timedelta(minutes=5))
    first = restore(ground.site.bench, ground.site.wired, replace(ground.plan(), told=told)).outcome
    ground.site.clock.sleep(60)
    second = ground.finish().outcome
    assert second.timeline.t0 == fault
    assert (second.timeline.t1, second.timeline.t2) == (told.noticed, None)
    assert second.timeline.brought_back == first.timeline.brought_back == reached
    assert second.rpo.measured == first.rpo.measured == 600
    assert second.timeline.begun == first.timeline.begun
    # what is told now counts for what was told before
    again = ground.finish(Told(fault=fault - timedelta(minutes=1), accepted=began)).outcome.timeline
    assert (again.t0, again.t1, again.t2) == (fault - timedelta(minutes=1), told.noticed, began)
    with pytest.raises(UsageError, match="is before T0"):
        ground.finish(Told(noticed=fault - timedelta(minutes=1)))


def test_a_simulation_in_place_stays_one_when_another_command_ends_it(ground: Ground) -> None:
    restore(ground.site.bench, ground.site.wired, replace(ground.plan(), occasion=OccasionKind.SIMULATION))
    done = ground.finish()
    assert done.record.occasion is OccasionKind.SIMULATION
    assert done.outcome.timeline.t0 == done.outcome.timeline.begun


def test_a_book_from_before_times_were_kept_in_it_tells_none(ground: Ground) -> None:
    ground.restore()
    body = swap_to_json(ground.swap())
    for name in ("told", "occasion", "brought_back", "undone_at"):
        del body[name]
    swap = swap_from_json(body)
    assert (swap.told, swap.occasion, swap.brought_back) == (NOTHING_TOLD, OccasionKind.INCIDENT, None)


def test_one_that_cannot_be_ended_takes_its_renames_back(ground: Ground) -> None:
    moving_into(ground.places["main"], ground, 0, SourceError("no"))
    with pytest.raises(SourceError):
        ground.restore()
    # somebody has cleared away what lay beside
    moving_into(ground.places["images"], ground, 1, SourceError("it is gone"))
    with pytest.raises(SourceError, match="it is gone") as told:
        ground.finish()
    assert (ground.swap().phase, ground.both()) == (SwapPhase.PROVEN, SPOILT)
    assert "--finish" in told.value.hint


@pytest.mark.parametrize("way", ["finish", "undo"])
def test_what_another_command_did_meanwhile_is_seen(ground: Ground, way: str) -> None:
    moving_into(ground.places["main"], ground, 0, SourceError("no"))
    with pytest.raises(SourceError):
        ground.restore()
    stale = ground.swap()
    ground.undo()
    acts: dict[str, Callable[[], object]] = {
        "finish": lambda: finish(ground.site.bench, ground.site.wired, ground.target, stale, "end"),
        "undo": lambda: undo(
            ground.site.bench, ground.target.book, stale, ground.target.places, reason="x", permit=allowed, force=False
        ),
    }
    with pytest.raises(UsageError, match="dropped"):
        acts[way]()
    assert ground.both() == SPOILT


def test_a_late_check_does_not_move_the_times_of_the_restore(ground: Ground) -> None:
    first = ground.restore().outcome
    ground.site.clock.sleep(5 * 3600)
    for _ in range(2):
        late = ground.finish().outcome
        assert (late.timeline.t4, late.timeline.t5, late.timeline.t6) == (
            first.timeline.t4,
            first.timeline.t5,
            first.timeline.t6,
        )
        assert late.rto == first.rto and late.rpo == first.rpo


def test_what_was_not_sound_in_place_is_verified_only_once_it_is(
    ground: Ground, monkeypatch: pytest.MonkeyPatch
) -> None:
    # sound beside, and not in its place
    failing = {"now": True}

    class InPlaceOnly(FakeCheck):
        def run(self, restored: object) -> CheckResult:
            assert isinstance(restored, Restored)
            in_place = restored.instances["main"].path == ground.places["main"].root
            status = CheckStatus.FAIL if in_place and failing["now"] else CheckStatus.PASS
            return CheckResult(self.name, status, self.level)

    monkeypatch.setattr(ground.site, "wired", ground.site.with_checks(InPlaceOnly("visits", Level.BUSINESS)))
    assert ground.restore().outcome.verdict is Verdict.FAILED
    assert ground.swap().course.t4 is not None and ground.swap().course.t6 is None
    ground.site.clock.sleep(5 * 3600)
    failing["now"] = False
    late = ground.finish().outcome
    assert late.verdict is Verdict.PASSED
    assert late.rto.measured is not None and late.rto.measured >= 5 * 3600


def test_a_server_that_a_person_starts_is_checked_afterwards(ground: Ground) -> None:
    for place in ground.places.values():
        place.by_hand = "systemctl start it"
    done = ground.restore()
    assert (done.outcome.verdict, done.instances) == (Verdict.PASSED, {})
    assert not [check for check in done.outcome.checks if check.name.endswith("@original")]
    still = ground.finish()
    assert still.outcome.verdict is Verdict.ERROR
    assert "systemctl start it" in still.outcome.checks[-1].message
    for place in ground.places.values():
        place.by_hand = ""
    ground.site.clock.sleep(60)
    done = ground.finish()
    assert done.outcome.verdict is Verdict.PASSED
    # the first that finds it up measures, and no later one
    measured = done.outcome.timeline.t6
    assert measured is not None and measured >= still.outcome.timeline.begun + timedelta(minutes=1)  # type: ignore[operator]
    ground.site.clock.sleep(60)
    assert ground.finish().outcome.timeline.t6 == measured
    assert {check.name for check in done.outcome.checks} >= {"opens-main@original", "integrity-images@original"}
