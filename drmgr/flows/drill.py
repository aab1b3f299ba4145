"""A drill: bring systems back on scratch, prove them, measure the time, destroy everything, seal the evidence."""

from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, replace
from datetime import datetime

from drmgr.errors import DrmgrError, LoadError, RepositoryDamagedError
from drmgr.flows.bench import Bench, WiredSystem, recorded
from drmgr.flows.bringback import (
    Phases,
    lacking,
    level_reached,
    load_into_scratch,
    members,
    needed_bytes,
    prove,
    prove_across,
    readable,
    target_reached,
)
from drmgr.flows.course import Course
from drmgr.flows.points import SealedPoint, believed, choose, find
from drmgr.flows.reach import NEWEST, Aim, aim, newest
from drmgr.interfaces import AcrossCheck, Check, Workspace
from drmgr.model import (
    CheckResult,
    CheckStatus,
    Destruction,
    DrillRecord,
    EvidenceEntry,
    Instance,
    Level,
    Member,
    OccasionKind,
    Outcome,
    RecoveryPoint,
    Restored,
    RunKind,
    RunStatus,
    Text,
    Verdict,
)

PROVES_LOSS = (RepositoryDamagedError, LoadError)
"""Errors that prove the backup bad (the drill failed), where others only kept us from proving anything (error)."""


@dataclass(frozen=True)
class DrillPlan:
    """What is to be played; ``level`` is the least that counts as passed, ``copy`` the place all comes from.

    ``at`` goes on from the point by the logs: to ``newest``, the last instant that was shipped, or to a time.
    """

    name: str
    title: Text
    scenario: str
    form: str
    systems: tuple[WiredSystem, ...]
    point: str
    level: Level
    approval: str = ""
    copy: str = ""
    at: str = ""
    across: tuple[AcrossCheck, ...] = ()


@dataclass(frozen=True)
class DrillDone:
    """The record as sealed, and where its evidence lies."""

    record: DrillRecord
    evidence: EvidenceEntry


def drill(bench: Bench, plan: DrillPlan) -> DrillDone:
    """Plays the drill. A bad backup does not raise: the verdict says it, and evidence is sealed all the same.

    Raises LockedError, EvidenceError, KeystoreError.
    """
    with recorded(bench, RunKind.DRILL, plan.name, plan.approval) as run, bench.locks.hold(f"drill-{plan.name}"):
        fault = Fault(bench.clock.now(), bench.clock.monotonic())
        outcomes = tuple(story.outcome() for story in _play_all(bench, plan, fault, run.run.id))
        destruction = tuple(proof for proof in bench.scratch.destructions() if run.run.id in proof.path)
        record = DrillRecord(
            run=run.run.id,
            kind=RunKind.DRILL,
            occasion=OccasionKind.DRILL,
            name=plan.name,
            title=plan.title,
            scenario=plan.scenario,
            form=plan.form,
            site=bench.site,
            started_at=fault.at,
            finished_at=bench.clock.now(),
            verdict=overall([*(outcome.verdict for outcome in outcomes), *_not_gone(destruction)]),
            level=min((outcome.level for outcome in outcomes), default=Level.STRUCTURE),
            outcomes=outcomes,
            destruction=destruction,
            target="scratch",
            host=bench.host,
            operator=bench.operator,
            reason=f"drill {plan.name}" + (f" from the copy {plan.copy}" if plan.copy else ""),
            tools=bench.tools,
            timezone=bench.timezone,
            approval=plan.approval,
        )
        entry = bench.evidence.seal(record)
        run.status = RunStatus.OK if record.verdict is Verdict.PASSED else RunStatus.FAILED
        points = {outcome.system.id: outcome.point.id for outcome in outcomes if outcome.point}
        run.detail.update(verdict=record.verdict, evidence=entry.id, copy=plan.copy, points=points)
        return DrillDone(record, entry)


@dataclass(frozen=True)
class Fault:
    """T0, the same for every system of the drill: one that is brought back after another has waited since then too.

    ``monotonic`` is the same instant by the clock that is never set back.
    """

    at: datetime
    monotonic: float


def _not_gone(destruction: Sequence[Destruction]) -> tuple[Verdict, ...]:
    return tuple(Verdict.ERROR for proof in destruction if not proof.gone)


def _play_all(bench: Bench, plan: DrillPlan, fault: Fault, run: str) -> "tuple[_Story, ...]":
    """Each system after the other. Where they are to agree, all stay up until that has been proven."""
    if not plan.across:
        return tuple(_alone(bench, plan, wired, fault, run) for wired in plan.systems)
    stories: tuple[_Story, ...] = ()
    try:
        with ExitStack() as held:
            for wired in plan.systems:
                stories += (_play(bench, plan, wired, fault, run, held),)
            restored = {story.system: story.restored for story in stories if story.restored is not None}
            for check in plan.across:
                result = prove_across(bench, check, restored)
                for story in stories:
                    if story.system in check.systems:
                        story.note(result)
    except DrmgrError as error:
        # a workspace that could not be destroyed: what was proven stays proven, but the drill did not end well
        stories[-1].error = stories[-1].error or error
    return stories


def _alone(bench: Bench, plan: DrillPlan, wired: WiredSystem, fault: Fault, run: str) -> "_Story":
    story: _Story | None = None
    try:
        with ExitStack() as held:
            story = _play(bench, plan, wired, fault, run, held)
    except DrmgrError as error:
        if story is None:
            raise
        story.error = story.error or error
    return story


def _play(  # noqa: PLR0917 - one system, in the drill that it is part of
    bench: Bench, plan: DrillPlan, wired: WiredSystem, fault: Fault, run: str, held: ExitStack
) -> "_Story":
    """One system's part; its workspace stays up until ``held`` is closed."""
    workspace_name = f"{run}-{wired.system.id}"
    phases = Phases(bench, wired.system.id)
    story = _Story(bench, wired, plan.level, fault, phases)
    try:
        with phases.step("choose-point"):
            offered = find(wired.repository, wired.memory or bench.catalog, wired.system.id)
            story.note_problems(offered.problems)
            # a point that is made while the drill is played was not there when the fault came
            there = [each for each in offered.points if not fault.at < each.point.created_at <= bench.clock.now()]
            aimed = _aim(bench, plan, wired, there, fault)
            story.point = aimed.point
            # the catalog may remember what the repository has lost, or never said
            sealed = next(each for each in there if each.point is aimed.point)
            aimed = replace(aimed, point=believed(wired.repository, sealed))
            story.point = aimed.point
        chosen = members(story.point, wired)
        story.note_lacking(chosen)
        workspace = held.enter_context(bench.scratch.open(workspace_name, needed_bytes(chosen, aimed.replays)))
        story.restore_and_prove(aimed, workspace)
        if not plan.across:
            held.close()
        if aimed.replays:
            # the facts are those of the point, and the first instance has gone on from there
            with bench.scratch.open(f"{workspace_name}-facts", needed_bytes(chosen)) as workspace:
                story.prove_facts(aimed.point, workspace)
    except DrmgrError as error:
        story.error = error
    return story


def _aim(bench: Bench, plan: DrillPlan, wired: WiredSystem, there: Sequence[SealedPoint], fault: Fault) -> Aim:
    points = list(there)
    if plan.at in ("", NEWEST) or plan.point != "latest":
        points = [choose(there, wired.system.id, plan.point)]
    if not plan.at:
        return Aim(points[0].point, {})
    if plan.at == NEWEST:
        return newest(wired, points[0], fault.at)
    return aim(wired, points, plan.at, tuple(source.name for source in wired.sources), bench.timezone)


class _Story:
    """What has become of one system so far; turned into its outcome at any point."""

    def __init__(self, bench: Bench, wired: WiredSystem, wanted: Level, fault: Fault, phases: Phases) -> None:
        self.point: RecoveryPoint | None = None
        self._bench = bench
        self._wired = wired
        self._wanted = wanted
        self._course = Course(bench.clock, fault.at, fault.monotonic)
        self._phases = phases
        self._checks: tuple[CheckResult, ...] = ()
        self.system = wired.system.id
        self.restored: Restored | None = None
        self.error: DrmgrError | None = None

    def note(self, result: CheckResult) -> None:
        """Takes in what was proven of this system and others together."""
        self._checks += (result,)

    def note_problems(self, problems: Sequence[str]) -> None:
        self._checks = (readable(problems),)

    def note_lacking(self, chosen: tuple[Member, ...]) -> None:
        self._checks += lacking(chosen)

    def restore_and_prove(self, aimed: Aim, workspace: Workspace) -> None:
        replays = aimed.replays
        self._course.went_to(aimed.instant)
        self._course.restoring()
        chosen = members(aimed.point, self._wired)
        loaded = load_into_scratch(self._bench, self._wired, chosen, workspace, self._phases, replays=replays)
        self._course.usable()
        instant = aimed.instant if replays else None
        self.restored = Restored(aimed.point, loaded.instances, self._wired.system.objectives, instant)
        with self._phases.step("verify"):
            self._prove(
                aimed.point,
                loaded.instances,
                [check for check in self._wired.checks if not (replays and of_facts(check))],
            )
            self._checks += tuple(
                target_reached(name, replay, loaded.reached[name]) for name, replay in replays.items()
            )
        self._course.verified()

    def prove_facts(self, point: RecoveryPoint, workspace: Workspace) -> None:
        """Once more to the point itself, after the time that counts: only there the facts are known."""
        with self._phases.step("prove-facts"):
            chosen, apart = members(point, self._wired), Phases(self._bench, self._wired.system.id)
            loaded = load_into_scratch(self._bench, self._wired, chosen, workspace, apart)
            self._prove(point, loaded.instances, [check for check in self._wired.checks if of_facts(check)])

    def _prove(self, point: RecoveryPoint, loaded: Mapping[str, Instance], checks: Sequence[Check]) -> None:
        restored = Restored(point, loaded, self._wired.system.objectives)
        self._checks += prove(self._bench, tuple(checks), restored)

    def outcome(self) -> Outcome:
        system, error = self._wired.system, self.error
        level = level_reached(self._checks) if error is None else Level.STRUCTURE
        rto, rpo = self._course.measures(system, self.point, error)
        reached = level >= self._wanted and rto.met and rpo.met
        return self._course.outcome(
            system,
            point=self.point,
            checks=self._checks,
            phases=self._phases.done,
            level=level,
            verdict=verdict(self._checks, error, reached),
            error=error,
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


def overall(verdicts: Sequence[Verdict]) -> Verdict:
    """The worst of them; a failure outranks an error, for it is known. None at all is an error."""
    for worst in (Verdict.FAILED, Verdict.ERROR):
        if worst in verdicts:
            return worst
    return Verdict.PASSED if verdicts else Verdict.ERROR
