"""A restore in place with what can go wrong: nothing is ever lost, and every state has a way out."""

from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from pathlib import Path

import pytest

from drmgr.errors import DrmgrError, Interrupted, InUseError, NotAllowedError, PreflightError, SourceError, UsageError
from drmgr.flows.backup import backup
from drmgr.flows.finish import finish
from drmgr.flows.original import ToOriginal
from drmgr.flows.reach import Aim
from drmgr.flows.restore import RestoreDone, restore
from drmgr.flows.restoreplan import RestorePlan, planned
from drmgr.flows.swap import undo
from drmgr.model import (
    NOTHING_TOLD,
    AuditResult,
    CheckResult,
    CheckStatus,
    Level,
    OccasionKind,
    Restored,
    Swap,
    SwapPhase,
    Told,
    Verdict,
    swap_from_json,
    swap_to_json,
)
from drmgr.state.swap_book import FileSwapBook
from tests.support.fake_audit import FakeAudit
from tests.support.fake_place import FakePlace
from tests.support.fakes import FakeCheck
from tests.unit.flows.conftest import Site


def allowed() -> None:
    return


@dataclass
class Ground:
    """A site whose two folders were spoilt after their backup, and their places."""

    site: Site
    target: ToOriginal
    places: dict[str, FakePlace]

    def plan(self, *sources: str) -> RestorePlan:
        return RestorePlan("latest", self.target, sources, "spoilt", OccasionKind.INCIDENT)

    def restore(self, *sources: str) -> RestoreDone:
        return restore(self.site.bench, self.site.wired, self.plan(*sources))

    def content(self, name: str) -> str:
        return (self.places[name].root / "deep" / "a.txt").read_text()

    def both(self) -> tuple[str, str]:
        return self.content("main"), self.content("images")

    def swap(self) -> Swap:
        return self.target.book.all()[-1]

    def undo(self, *, force: bool = False) -> Swap:
        way = {"reason": "back", "permit": allowed, "force": force}
        return undo(self.site.bench, self.target.book, self.swap(), self.target.places, **way)  # type: ignore[arg-type]

    def finish(self, told: Told = NOTHING_TOLD) -> RestoreDone:
        return finish(self.site.bench, self.site.wired, self.target, self.swap(), "end", told=told)

    def kept(self) -> list[str]:
        """The folders beside the two, without their run."""
        return sorted(
            path.name.rpartition("-")[0]
            for path in self.site.folder.iterdir()
            if ".re" in path.name or ".be" in path.name
        )


@pytest.fixture
def ground(site: Site) -> Ground:
    backup(site.bench, site.wired)
    places = {name: FakePlace(engine, site.folder / name) for name, engine in site.engines.items()}
    for name in places:
        (site.folder / name / "deep" / "a.txt").write_text("spoilt")
    return Ground(site, ToOriginal(places, FileSwapBook(site.folder / "state"), allowed), places)


SPOILT, GOOD = ("spoilt", "spoilt"), ("main", "images")


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


def moving_into(place: FakePlace, ground: Ground, which: int, failure: DrmgrError | Interrupted) -> None:
    """The rename of that number of the place raises: its name is known only when the run is."""
    plain: Callable[..., object] = place.rename

    def rename(move: object, *, end_sessions: bool) -> None:
        if place.moves(ground.swap().run, "x")[which].new == move.new:  # type: ignore[attr-defined]
            place.raises[move.new] = failure  # type: ignore[attr-defined]
            setattr(place, "rename", plain)  # noqa: B010 - what is a method to mypy cannot be set
        plain(move, end_sessions=end_sessions)

    place.rename = rename  # type: ignore[method-assign]


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
    done = ground.finish()
    assert done.outcome.verdict is Verdict.PASSED
    assert {check.name for check in done.outcome.checks} >= {"opens-main@original", "integrity-images@original"}


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
