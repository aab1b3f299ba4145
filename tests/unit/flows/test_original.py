"""A restore in place with what can go wrong: nothing is ever lost, and every state has a way out."""

from dataclasses import dataclass, replace
from datetime import datetime
from pathlib import Path

import pytest

from drmgr.errors import DrmgrError, Interrupted, InUseError, NotAllowedError, PreflightError, SourceError, UsageError
from drmgr.flows.restore import restore
from drmgr.flows.restoreplan import planned
from drmgr.flows.swap import undo
from drmgr.model import (
    AuditResult,
    CheckResult,
    CheckStatus,
    Level,
    OccasionKind,
    Restored,
    SwapPhase,
    Verdict,
)
from tests.support.fake_audit import FakeAudit
from tests.support.fakes import FakeCheck
from tests.unit.flows.conftest import Site
from tests.unit.flows.ground import GOOD, SPOILT, Ground, allowed, moving_into, spoilt_site


@pytest.fixture
def ground(site: Site) -> Ground:
    return spoilt_site(site)


def test_all_sources_are_proven_before_the_first_gets_another_name(ground: Ground) -> None:
    done = ground.restore()
    assert (done.outcome.verdict, done.record.target, ground.both()) == (Verdict.PASSED, "original", GOOD)
    assert done.record.occasion is OccasionKind.INCIDENT
    names = [check.name for check in done.outcome.checks]
    assert names.index("facts-images") < names.index("opens-main@original")
    assert not [name for name in names if name.startswith("facts") and name.endswith("@original")]
    times = done.outcome.timeline
    assert None not in (times.begun, times.t4, times.t5, times.t6)
    # nobody said when the fault was
    assert (times.t0, times.t1, times.t2, times.t3) == (None, None, None, None)
    assert done.record.swap is not None
    assert [move.kept for move in done.record.swap.moves].count(True) == 2
    assert (ground.swap().phase, len(ground.swap().moves)) == (SwapPhase.SWAPPED, 4)
    audit = ground.site.bench.audit
    assert isinstance(audit, FakeAudit)
    acts = [(line.act, line.result) for line in audit.lines if line.act == "rename"]
    assert acts == [("rename", AuditResult.STARTED), ("rename", AuditResult.OK)] * 4


def test_undo_puts_back_what_was_there_and_keeps_what_had_come(ground: Ground) -> None:
    ground.restore()
    assert ground.swap().undone_at is None
    assert ground.undo().phase is SwapPhase.UNDONE
    assert ground.swap().undone_at == ground.site.clock.now()
    assert ground.both() == SPOILT
    assert ground.kept() == ["images.restored", "main.restored"]
    with pytest.raises(UsageError, match="nothing to undo"):
        ground.undo()


def test_only_the_latest_can_be_undone(ground: Ground) -> None:
    ground.restore("main")
    first = ground.swap()
    ground.restore("main")
    with pytest.raises(NotAllowedError, match="stands on it"):
        undo(
            ground.site.bench, ground.target.book, first, ground.target.places, reason="x", permit=allowed, force=False
        )
    # the other source has nothing to do with it
    assert ground.content("images") == "spoilt"


def test_a_failed_check_changes_no_name_unless_it_is_accepted(ground: Ground) -> None:
    ground.site.wired = ground.site.with_checks(FakeCheck("sums", status=CheckStatus.FAIL))
    done = ground.restore()
    assert (done.outcome.verdict, ground.both(), ground.kept()) == (Verdict.FAILED, SPOILT, [])
    assert (ground.swap().phase, done.outcome.timeline.t6) == (SwapPhase.DROPPED, None)
    ground.target = replace(ground.target, accept_failed=True)
    done = ground.restore()
    assert (done.outcome.verdict, ground.both()) == (Verdict.FAILED, GOOD)


def test_what_is_wrong_is_told_before_anything_is_written(ground: Ground) -> None:
    for change in ("refused", "unmovable", "at", "busy"):
        target = ground.target
        if change == "refused":
            target = replace(target, permit=refused)
        ground.places["images"].wrong = PreflightError("cannot be moved") if change == "unmovable" else None
        ground.places["images"].busy = 3 if change == "busy" else 0
        plan = replace(ground.plan(), target=target, at="2026-01-05T06:00" if change == "at" else "")
        with pytest.raises(DrmgrError):
            restore(ground.site.bench, ground.site.wired, plan)
        assert (ground.both(), ground.kept(), ground.target.book.all()) == (SPOILT, [], [])
    ground.places["images"].busy = 0
    assert planned(ground.site.bench, ground.site.wired, ground.plan())[0].point.system == "his"
    assert ground.kept() == []


def refused() -> None:
    raise NotAllowedError("the site file does not allow it")


@pytest.mark.parametrize("source", ["main", "images"])
@pytest.mark.parametrize("which", [0, 1])
@pytest.mark.parametrize("late", [False, True])
@pytest.mark.parametrize("way", ["finish", "undo"])
def test_a_kill_between_two_renames_is_found_and_ended_or_undone(
    ground: Ground, source: str, which: int, late: bool, way: str
) -> None:
    place = ground.places[source]
    place.late = late
    moving_into(place, ground, which, Interrupted("SIGTERM"))
    with pytest.raises(Interrupted):
        ground.restore()
    # as after a kill -9: nothing but what is on disk
    assert ground.swap().phase is SwapPhase.SWAPPING
    with pytest.raises(PreflightError, match="broken off") as told:
        ground.restore()
    assert ground.swap().run in told.value.hint
    if way == "undo":
        assert (ground.undo().phase, ground.both()) == (SwapPhase.UNDONE, SPOILT)
        assert not [name for name in ground.kept() if "before" in name]
    else:
        done = ground.finish()
        assert (done.outcome.verdict, ground.both()) == (Verdict.PASSED, GOOD)
        assert ground.kept() == ["images.before", "main.before"]


@pytest.mark.parametrize("source", ["main", "images"])
@pytest.mark.parametrize("which", [0, 1])
def test_a_rename_that_fails_takes_the_others_back(ground: Ground, source: str, which: int) -> None:
    moving_into(ground.places[source], ground, which, SourceError("no"))
    with pytest.raises(SourceError) as told:
        ground.restore()
    assert (ground.swap().phase, ground.both()) == (SwapPhase.PROVEN, SPOILT)
    assert "--finish" in told.value.hint
    assert ground.finish().outcome.verdict is Verdict.PASSED
    assert ground.both() == GOOD


def test_who_comes_before_the_swap_stops_it_and_the_proven_waits(ground: Ground) -> None:
    place = ground.places["images"]
    settle = place.settle

    def settled(run: str, staged: Path, loaded: object) -> None:
        settle(run, staged, loaded)  # type: ignore[arg-type]
        place.busy = 2

    place.settle = settled  # type: ignore[method-assign]
    with pytest.raises(InUseError) as told:
        ground.restore()
    assert "--end-sessions" in told.value.hint
    assert (ground.swap().phase, ground.both()) == (SwapPhase.PROVEN, SPOILT)
    with pytest.raises(PreflightError, match="not yet in place"):
        ground.restore()
    with pytest.raises(InUseError):
        ground.finish()
    place.busy = 0
    assert ground.finish().outcome.verdict is Verdict.PASSED


@dataclass
class LatestCheck:
    """How late it lets the data be, kept for the test."""

    seen: list[datetime]
    name: str = "latest"
    level: Level = Level.BUSINESS

    def run(self, restored: Restored) -> CheckResult:
        self.seen.append(restored.latest("main"))
        return CheckResult(self.name, CheckStatus.PASS, self.level)


def test_what_is_written_after_the_swap_is_not_later_than_it_may_be(ground: Ground) -> None:
    check = LatestCheck([])
    ground.site.wired = ground.site.with_checks(check)
    member = ground.restore().outcome.point.member("main")  # type: ignore[union-attr]
    beside, in_place = check.seen
    assert beside == member.consistent_at
    assert in_place > max(beside, ground.site.bench.clock.now())


def test_nobody_is_thrown_out_for_a_swap_that_programs_are_in_the_way_of(ground: Ground) -> None:
    ground.places["main"].busy, ground.places["images"].open_in = 2, ("smbd (pid 71)",)
    ground.target = replace(ground.target, end_sessions=True)
    with pytest.raises(InUseError, match=r"images.*smbd \(pid 71\)") as told:
        ground.restore()
    assert "--end-sessions" not in told.value.hint
    # at once: nothing was brought, and no session was ended
    assert (ground.both(), ground.kept(), ground.target.book.all()) == (SPOILT, [], [])

    place = ground.places["images"]
    place.open_in = ()
    settle = place.settle

    def settled(run: str, staged: Path, loaded: object) -> None:
        settle(run, staged, loaded)  # type: ignore[arg-type]
        place.open_in = ("rsync (pid 72)",)

    place.settle = settled  # type: ignore[method-assign]
    with pytest.raises(InUseError, match="rsync") as told:
        ground.restore()
    assert ("--end-sessions" in told.value.hint, "--finish" in told.value.hint) == (False, True)
    assert not ground.places["main"].cut_off
    assert (ground.swap().phase, ground.both()) == (SwapPhase.PROVEN, SPOILT)
    place.open_in = ()
    assert ground.finish().outcome.verdict is Verdict.PASSED
    assert ground.places["main"].cut_off


def test_nothing_is_undone_below_an_undoing_that_was_broken_off(ground: Ground) -> None:
    ground.restore("main")
    first = ground.swap()
    ground.restore("main")
    ground.target.book.write(replace(ground.swap(), phase=SwapPhase.UNDOING))
    with pytest.raises(NotAllowedError, match="stands on it"):
        undo(
            ground.site.bench, ground.target.book, first, ground.target.places, reason="x", permit=allowed, force=False
        )


def test_the_proven_can_be_given_up(ground: Ground) -> None:
    moving_into(ground.places["main"], ground, 0, SourceError("no"))
    with pytest.raises(SourceError):
        ground.restore()
    assert ground.undo().phase is SwapPhase.DROPPED
    assert (ground.both(), ground.kept()) == (SPOILT, [])


def test_what_a_killed_restore_left_beside_goes_with_the_next(ground: Ground) -> None:
    ground.restore("main")
    run = ground.swap().run
    # as if it had been killed while it loaded
    ground.target.book.write(replace(ground.swap(), run="00", phase=SwapPhase.BESIDE, sources=("images",), moves=()))
    (ground.site.folder / "images.restored-00").mkdir()
    ground.restore("images")
    assert not (ground.site.folder / "images.restored-00").exists()
    assert ground.target.book.read("his", run).phase is SwapPhase.SWAPPED
    assert ground.target.book.read("his", "00").phase is SwapPhase.DROPPED


def test_a_book_that_was_changed_is_no_book(ground: Ground) -> None:
    ground.restore()
    (path,) = (ground.site.folder / "state").iterdir()
    path.write_text("{}")
    with pytest.raises(DrmgrError, match="cannot be read"):
        ground.restore()


def test_people_are_told_what_could_not_be_given_back(ground: Ground) -> None:
    ground.places["images"].lacks = ("do this", "and that")
    assert ground.restore().by_hand == ("do this", "and that")
    assert ground.finish().by_hand == ("do this", "and that")
    ground.places["images"].lacks = ()
    assert ground.finish().by_hand == ()
