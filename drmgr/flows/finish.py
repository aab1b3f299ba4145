"""A restore in place that was broken off, or that waits for a server to be started, is brought to its end."""

from dataclasses import replace

from drmgr.errors import DrmgrError, UsageError
from drmgr.flows.aim import Aim
from drmgr.flows.bench import Bench, WiredSystem, recorded
from drmgr.flows.bringback import Phases, level_reached
from drmgr.flows.course import Course, told_in
from drmgr.flows.incident import refuse_disorder
from drmgr.flows.origin import origin_of, versions_of_all
from drmgr.flows.original import ToOriginal, left_to_people, not_passed, prove_in_place, waits_for_people
from drmgr.flows.points import believed, choose, find
from drmgr.flows.restore import RestoreDone, sealed_as
from drmgr.flows.restoreplan import RestorePlan
from drmgr.flows.story import verdict
from drmgr.flows.swap import Swapper
from drmgr.interfaces import Place
from drmgr.model import (
    NOTHING_TOLD,
    CheckResult,
    CheckStatus,
    Instance,
    Level,
    OccasionKind,
    RunKind,
    RunStatus,
    Swap,
    SwapPhase,
    Text,
    Told,
    Verdict,
)

FINISHABLE = (SwapPhase.PROVEN, SwapPhase.SWAPPING, SwapPhase.SWAPPED)


def finish(
    bench: Bench, wired: WiredSystem, target: ToOriginal, swap: Swap, reason: str, *, told: Told = NOTHING_TOLD
) -> RestoreDone:
    """Changes the names that are not changed yet, checks what is in place, and seals evidence of it.

    What people ``told`` now counts for what the command that began was told; what neither was told stays unknown.
    Raises NotAllowedError, InUseError, UsageError; afterwards the error that stopped it, once the evidence is sealed.
    """
    system = wired.system.id
    with recorded(bench, RunKind.RESTORE, system, reason) as run, bench.locks.hold(f"restore-{system}"):
        run.detail.update(finish=swap.run, target="original", reason=reason, point=swap.point)
        target.permit()
        # another command may have ended or undone it before we had the lock
        swap = target.book.read(system, swap.run)
        if swap.phase not in FINISHABLE:
            raise UsageError(f"there is nothing to end: the restore {swap.run} is {swap.phase}", hint=_instead(swap))
        told = _all_told(swap, told)
        act = _Finish(bench, wired, target, swap, run=run.run.id, told=told)
        error: DrmgrError | None = None
        try:
            act.perform()
        except DrmgrError as caught:
            error = caught
        done = act.sealed(reason, error)
        run.detail.update(evidence=done.evidence.id, swap=act.swap.phase.value)
        if error is not None:
            raise error
        run.status = RunStatus.OK if done.outcome.verdict is Verdict.PASSED else RunStatus.FAILED
        return done


def _all_told(swap: Swap, told: Told) -> Told:
    if told == NOTHING_TOLD:
        return swap.told
    if swap.occasion is not OccasionKind.INCIDENT:
        raise UsageError(
            f"the times of a fault belong to an incident, and the restore {swap.run} is a {swap.occasion}",
            hint="leave them out",
        )
    every = swap.told.then(told)
    refuse_disorder(every, swap.begun_at)
    return every


def _instead(swap: Swap) -> str:
    if swap.phase is SwapPhase.UNDOING:
        return f"its undoing was broken off; go on with: drmgr restore {swap.system} --undo {swap.run}"
    return f"begin anew: drmgr restore {swap.system} --to original"


class _Finish:
    def __init__(
        self, bench: Bench, wired: WiredSystem, target: ToOriginal, swap: Swap, *, run: str, told: Told
    ) -> None:
        self.swap = swap
        self._bench = bench
        self._wired = wired
        self._target = target
        self._run = run
        offered = find(wired.repository, wired.memory or bench.catalog, wired.system.id)
        self._point = believed(wired.repository, choose(offered.points, wired.system.id, swap.point))
        now = bench.clock.now()
        started = bench.clock.monotonic() - (now - swap.begun_at).total_seconds()
        self._course = Course(bench.clock, swap.begun_at, started, told_in(swap.occasion, told))
        self._course.went_to(swap.brought_back)
        self._phases = Phases(bench, wired.system.id)
        self._checks: tuple[CheckResult, ...] = tuple(_failed_before(name) for name in swap.accepted)
        self._instances: dict[str, Instance] = {}

    def perform(self) -> None:
        swapper = Swapper(
            self._bench, self._target.book, self._target.places, self._run, end_sessions=self._target.end_sessions
        )
        self._course.restoring()
        known = self.swap.course
        if known.t6 is not None:
            # what was usable and verified then does not become so later
            self._course.was(known)
        elif known.t4 is not None:
            self._course.goes_on(known.t4, None)
        if self.swap.phase is SwapPhase.PROVEN:
            with self._phases.step("swap"):
                self.swap = swapper.together(self.swap)
        elif self.swap.phase is SwapPhase.SWAPPING:
            with self._phases.step("swap"):
                self.swap = swapper.go(self.swap, (SwapPhase.SWAPPING, SwapPhase.SWAPPED))
        waits = waits_for_people(self._target.places, self.swap)
        if not waits and known.t6 is None:
            self._course.usable()
        with self._phases.step("verify-in-place"):
            found, instances = prove_in_place(
                self._bench, self._wired, self._target, Aim(self._point, {}), self.swap.run
            )
            self._checks += found
        self._instances.update(instances)
        self._checks += tuple(
            _not_started(name, place) for name, place in self._target.places.items() if name not in instances
        )
        for place in self._target.places.values():
            place.tidy(self.swap.run)
        if not waits and known.t6 is None:
            self._course.verified()
        if not waits and known.t6 is None and not not_passed(found):
            self.swap = replace(self.swap, course=self._course.so_far)
            self._target.book.write(self.swap)

    def sealed(self, reason: str, error: DrmgrError | None) -> RestoreDone:
        found = tuple(check for check in self._checks if check.status is not CheckStatus.SKIPPED)
        outcome = self._course.outcome(
            self._wired.system,
            point=self._point,
            checks=self._checks,
            phases=self._phases.done,
            level=level_reached(found),
            verdict=verdict(found, error, objectives_met=True),
            error=error,
            origin=origin_of(self._wired, self._point, into=versions_of_all(self._wired, self._instances)),
        )
        swap = self.swap
        plan = RestorePlan(swap.point, self._target, swap.sources, reason, swap.occasion, swap.at)
        record = sealed_as(self._bench, plan, self._run, outcome, self.swap.copy)
        record = replace(record, reason=f"{record.reason} (end of the restore {self.swap.run})", swap=self.swap)
        entry = self._bench.evidence.seal(record)
        by_hand = left_to_people(self._target.places, self._instances, self.swap.run)
        return RestoreDone(record, outcome, entry, self._instances, swap=self.swap, by_hand=by_hand)


_ANSWERS = Text("原址数据库已启动并应答", "the server in its own place answers")


def _failed_before(name: str) -> CheckResult:
    """In place the facts are not compared any more, and nothing would tell of it."""
    message = "did not pass before it was put in place, and was accepted"
    return CheckResult(name, CheckStatus.FAIL, Level.STRUCTURE, message=message)


def _not_started(source: str, place: Place) -> CheckResult:
    message = "what was put in place is not there any more"
    if place.by_hand:
        message = f"the server does not answer yet; start it: {place.by_hand}"
    return CheckResult(
        f"answers-{source}", CheckStatus.ERROR, Level.OPENS, source=source, title=_ANSWERS, message=message
    )
