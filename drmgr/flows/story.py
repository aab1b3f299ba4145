"""One system's part of a drill: its point is chosen, it is brought back on scratch, and proven."""

from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, replace
from datetime import datetime
from functools import cached_property

from drmgr.errors import DrmgrError, LoadError, RepositoryDamagedError
from drmgr.flows.acceptance import mistrusted
from drmgr.flows.aim import NEWEST, Aim, aim, before, newest, ships_logs
from drmgr.flows.bench import Bench, WiredSystem
from drmgr.flows.bringback import (
    NOTHING,
    Phases,
    lacking,
    left_out,
    level_reached,
    load_into_scratch,
    members,
    needed_bytes,
    needed_memory,
    prove,
    readable,
    target_reached,
)
from drmgr.flows.course import Course
from drmgr.flows.origin import origin_of, versions_of_all
from drmgr.flows.points import SealedPoint, believed, choose, find
from drmgr.flows.turns import Candidate
from drmgr.interfaces import Check, Workspace
from drmgr.model import (
    CheckResult,
    CheckStatus,
    Level,
    Outcome,
    RecoveryPoint,
    Restored,
    Text,
    Verdict,
)
from drmgr.system.clock import rfc3339

WITHOUT_LOGS = "without-logs"
"""Names the check that says to which instant a system was brought that could not go on with the others."""

PROVES_LOSS = (RepositoryDamagedError, LoadError)
"""Errors that prove the backup bad (the drill failed), where others only kept us from proving anything (error)."""

UNMEASURED_SECONDS, UNMEASURED_RATE = 10.0, 20 * 1024**2
"""How long a system is expected to take that was never measured: so long, and a second more for so many bytes."""

_WITHOUT_LOGS = Text(
    "无可续放的日志，取该时刻前最近的恢复点", "ships no logs: its newest recovery point before that instant"
)

_DEPENDED = Text("所依赖的系统已恢复并通过核对", "the systems that it depends on came back")


@dataclass(frozen=True)
class Fault:
    """T0, the same for every system of the drill: one that is brought back after another has waited since then too.

    ``monotonic`` is the same instant by the clock that is never set back.
    """

    at: datetime
    monotonic: float


@dataclass(frozen=True)
class Wanted:
    """What every system of the drill is brought back to.

    ``together``: all stay up until the drill lets go of them. ``several``: one that ships no logs comes back to its
    newest recovery point before ``at``, beside others that go on to it; for ``newest`` it does so alone too.
    """

    run: str
    point: str
    at: str
    level: Level
    together: bool
    several: bool = False


class Story:
    """What has become of one system so far; turned into its outcome at any point."""

    def __init__(self, bench: Bench, wired: WiredSystem, wanted: Wanted, fault: Fault) -> None:
        self.point: RecoveryPoint | None = None
        self.system = wired.system.id
        self.restored: Restored | None = None
        self.error: DrmgrError | None = None
        self._bench = bench
        self._wired = wired
        self._wanted = wanted
        self._fault = fault
        self._course = Course(bench.clock, fault.at, fault.monotonic)
        self._phases = Phases(bench, self.system)
        self._checks: tuple[CheckResult, ...] = ()
        self._across: tuple[CheckResult, ...] = ()
        self._aimed: Aim | None = None
        self._into: Mapping[str, Mapping[str, str]] = {}

    # --- what is to come ----------------------------------------------------------------------------------------------

    def choose(self) -> None:
        """Finds the point, by what the repository itself lists. An error is kept, not raised."""
        wired = self._wired
        try:
            with self._phases.step("choose-point"):
                offered = find(wired.repository, wired.memory or self._bench.catalog, self.system)
                self._checks = (readable(offered.problems),)
                # a point that is made while the drill is played was not there when the fault came
                now = self._bench.clock.now()
                there = [each for each in offered.points if not self._fault.at < each.point.created_at <= now]
                aimed = self._aim(there)
                self.point = aimed.point
                # the catalog may remember what the repository has lost, or never said
                sealed = next(each for each in there if each.point is aimed.point)
                aimed = replace(aimed, point=believed(wired.repository, sealed))
                self.point = aimed.point
            chosen = members(self.point, wired)
            self._checks += left_out(self.point, wired, "back the system up and accept the new point")
            self._checks += (*lacking(chosen), *mistrusted(offered, self.point, chosen))
            self._aimed = aimed
        except DrmgrError as error:
            self.error = error

    def _aim(self, there: Sequence[SealedPoint]) -> Aim:
        wanted, wired = self._wanted, self._wired
        points = list(there)
        if wanted.point != "latest":
            points = [choose(there, self.system, wanted.point)]
        if not wanted.at:
            return Aim(choose(points, self.system, wanted.point).point, {})
        if not ships_logs(wired) and (wanted.several or wanted.at == NEWEST):
            return self._before(points)
        if wanted.at == NEWEST:
            return newest(wired, points, self._fault.at)
        return aim(wired, points, wanted.at, tuple(source.name for source in wired.sources), self._bench.timezone)

    def _before(self, points: Sequence[SealedPoint]) -> Aim:
        at = self._wanted.at
        found, instant = (
            (Aim(choose(points, self.system, self._wanted.point).point, {}), self._fault.at)
            if at == NEWEST
            else before(self.system, points, at, self._bench.timezone)
        )
        back = found.point.consistent_at
        result = CheckResult(
            WITHOUT_LOGS,
            CheckStatus.PASS,
            Level.STRUCTURE,
            expected={"not_after": rfc3339(instant)},
            actual={"brought_back": rfc3339(back)},
            title=_WITHOUT_LOGS,
            message=f"not every source of {self.system} ships logs: brought to its recovery point {found.point.id}, "
            f"{round((instant - back).total_seconds())} s before that instant",
        )
        self._checks += (result,)
        return found

    def candidate(self, measured: float | None) -> Candidate | None:
        """What the system needs, once its point is chosen. ``measured`` is how long it took the last time."""
        if self._aimed is None:
            return None
        aimed, system = self._aimed, self._wired.system
        chosen = members(aimed.point, self._wired)
        # where it stays up, it is still there when its facts are proven apart
        twice = 2 if self._wanted.together and aimed.replays else 1
        disk = needed_bytes(chosen, aimed.replays) + (needed_bytes(chosen) if twice > 1 else 0)
        guess = UNMEASURED_SECONDS + sum(member.bytes for member in chosen) / UNMEASURED_RATE
        return Candidate(
            system.id,
            system.tier,
            frozenset(system.depends_on),
            guess if measured is None else measured,
            needed_memory(self._bench, self._wired, chosen) * twice,
            disk,
        )

    # --- bringing it back ---------------------------------------------------------------------------------------------

    def bring_back(self, held: ExitStack, usable: Callable[[], None]) -> None:
        """Its workspace stays up until ``held`` is closed. An error is kept, not raised; ``usable`` is called at T5."""
        aimed = self._aimed
        if aimed is None:
            return
        chosen = members(aimed.point, self._wired)
        name, scratch = f"{self._wanted.run}-{self.system}", self._bench.scratch
        try:
            workspace = held.enter_context(scratch.open(name, needed_bytes(chosen, aimed.replays)))
            self._restore_and_prove(aimed, workspace, usable)
            if not self._wanted.together:
                held.close()
            if aimed.replays:
                # the facts are those of the point, and the first instance has gone on from there
                with scratch.open(f"{name}-facts", needed_bytes(chosen)) as workspace:
                    self._prove_facts(aimed.point, workspace)
        except DrmgrError as error:
            self.error = error

    def _restore_and_prove(self, aimed: Aim, workspace: Workspace, usable: Callable[[], None]) -> None:
        replays = aimed.replays
        self._course.went_to(aimed.instant)
        self._course.restoring()
        chosen = members(aimed.point, self._wired)
        loaded = load_into_scratch(self._bench, self._wired, chosen, workspace, self._phases, replays=replays)
        self._course.usable()
        usable()
        self.restored = aimed.restored(loaded.instances, self._wired.system.objectives)
        with self._phases.step("verify"):
            self._prove(self.restored, [check for check in self._wired.checks if not (replays and of_facts(check))])
            self._checks += tuple(
                target_reached(name, replay, loaded.reached[name]) for name, replay in replays.items()
            )
        self._course.verified()
        # after the time that counts, and before the instances are gone
        self._into = versions_of_all(self._wired, loaded.instances)

    def _prove_facts(self, point: RecoveryPoint, workspace: Workspace) -> None:
        """Once more to the point itself, after the time that counts: only there the facts are known."""
        with self._phases.step("prove-facts"):
            chosen, apart = members(point, self._wired), Phases(self._bench, self.system)
            loaded = load_into_scratch(self._bench, self._wired, chosen, workspace, apart)
            restored = Restored(point, loaded.instances, self._wired.system.objectives)
            self._prove(restored, [check for check in self._wired.checks if of_facts(check)])

    def _prove(self, restored: Restored, checks: Sequence[Check]) -> None:
        self._checks += prove(self._bench, tuple(checks), restored)

    # --- what it came to ----------------------------------------------------------------------------------------------

    def note(self, result: CheckResult) -> None:
        """Takes in what follows for this system from others."""
        self._checks += (result,)

    def agree(self, result: CheckResult) -> None:
        """Takes in what was proven of this system and others together."""
        self._across += (result,)
        self.note(result)

    @property
    def seconds(self) -> float | None:
        """From T4 to T6: how long it took by itself. None for one that did not come back."""
        return self._course.own_seconds if self.error is None else None

    @property
    def sound(self) -> Verdict:
        """The verdict as if every time had been met: whether it is back, and right by itself.

        Where it differs from another system, the fault may lie there, and does not keep a third from its work.
        """
        own = [check for check in self._checks if check not in self._across]
        return verdict(own, self.error, objectives_met=True)

    @cached_property
    def depends_on(self) -> tuple[str, ...]:
        return self._wired.system.depends_on

    def outcome(self) -> Outcome:
        system, error = self._wired.system, self.error
        level = level_reached(self._checks) if error is None else Level.STRUCTURE
        rto, rpo = self._course.measures(system, self.point, error)
        reached = level >= self._wanted.level and rto.met and rpo.met
        return self._course.outcome(
            system,
            point=self.point,
            checks=self._checks,
            phases=self._phases.done,
            level=level,
            verdict=verdict(self._checks, error, reached),
            error=error,
            origin=origin_of(self._wired, self.point, self._aimed.replays if self._aimed else NOTHING, self._into),
        )


def of_facts(check: Check) -> bool:
    """Whether it compares with the facts of the recovery point's own instant."""
    return check.level is Level.FACTS


def verdict(checks: Sequence[CheckResult], error: DrmgrError | None, objectives_met: bool) -> Verdict:
    """``passed`` only when checks were made, every one passed, and level, RTO and RPO were reached."""
    statuses = {check.status for check in checks}
    if isinstance(error, PROVES_LOSS) or CheckStatus.FAIL in statuses:
        return Verdict.FAILED
    deeper_than_structure = any(check.level > Level.STRUCTURE for check in checks)
    if error is not None or not deeper_than_structure or statuses != {CheckStatus.PASS}:
        return Verdict.ERROR
    return Verdict.PASSED if objectives_met else Verdict.FAILED


def note_dependencies(stories: Sequence[Story]) -> None:
    """What depends on a system that did not come back was played all the same, and cannot pass: it would not work.

    ``stories`` in an order in which each comes after those that it depends on.
    """
    known = {story.system: story for story in stories}
    for story in stories:
        for name in story.depends_on:
            if name in known and (came_to := known[name].sound) is not Verdict.PASSED:
                failed = came_to is Verdict.FAILED
                status = CheckStatus.FAIL if failed else CheckStatus.SKIPPED
                message = f"depends on {name}, which " + ("did not come back sound" if failed else "was not proven")
                # at the level of what systems are to each other: what it proved by itself stays said
                story.note(CheckResult(f"depends-on-{name}", status, Level.ACROSS, title=_DEPENDED, message=message))
