"""A drill: bring systems back on scratch, prove them, measure the time, destroy everything, seal the evidence."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from drmgr.errors import DrmgrError, LoadError, RepositoryDamagedError
from drmgr.flows.bench import Bench, WiredSystem, error_json, recorded
from drmgr.flows.bringback import Phases, level_reached, load_into_scratch, members, needed_bytes, prove
from drmgr.flows.points import choose, find
from drmgr.interfaces import Workspace
from drmgr.model import (
    CheckResult,
    CheckStatus,
    DrillRecord,
    EvidenceEntry,
    Level,
    Measure,
    OccasionKind,
    Outcome,
    RecoveryPoint,
    Restored,
    RunKind,
    RunStatus,
    Text,
    Timeline,
    Verdict,
)

PROVES_LOSS = (RepositoryDamagedError, LoadError)
"""Errors that prove the backup bad (the drill failed), where others only kept us from proving anything (error)."""


@dataclass(frozen=True)
class DrillPlan:
    """What is to be played; ``level`` is the least that counts as passed."""

    name: str
    title: Text
    scenario: str
    form: str
    systems: tuple[WiredSystem, ...]
    point: str
    level: Level
    approval: str = ""


@dataclass(frozen=True)
class DrillDone:
    """The record as sealed, and where its evidence lies."""

    record: DrillRecord
    evidence: EvidenceEntry


def drill(bench: Bench, plan: DrillPlan) -> DrillDone:
    """Plays the drill. A bad backup does not raise: the verdict says it, and evidence is sealed all the same.

    Raises LockedError, EvidenceError, KeystoreError.
    """
    with bench.locks.hold(f"drill-{plan.name}"), recorded(bench.catalog, RunKind.DRILL, plan.name) as run:
        started_at = bench.clock.now()
        outcomes = tuple(_play(bench, plan, wired, f"{run.run.id}-{wired.system.id}") for wired in plan.systems)
        record = DrillRecord(
            run=run.run.id,
            kind=RunKind.DRILL,
            occasion=OccasionKind.DRILL,
            name=plan.name,
            title=plan.title,
            scenario=plan.scenario,
            form=plan.form,
            site=bench.site,
            started_at=started_at,
            finished_at=bench.clock.now(),
            verdict=overall([outcome.verdict for outcome in outcomes]),
            level=min((outcome.level for outcome in outcomes), default=Level.STRUCTURE),
            outcomes=outcomes,
            destruction=tuple(proof for proof in bench.scratch.destructions() if run.run.id in proof.path),
            target="scratch",
            host=bench.host,
            operator=bench.operator,
            reason=f"drill {plan.name}",
            tools=bench.tools,
            timezone=bench.timezone,
            approval=plan.approval,
        )
        entry = bench.evidence.seal(record)
        run.status = RunStatus.OK if record.verdict is Verdict.PASSED else RunStatus.FAILED
        run.detail.update(verdict=record.verdict, evidence=entry.id)
        return DrillDone(record, entry)


def _play(bench: Bench, plan: DrillPlan, wired: WiredSystem, workspace_name: str) -> Outcome:
    """One system's part. T0 is the instant the fault is declared: now."""
    t0, phases = bench.clock.now(), Phases(bench, wired.system.id)
    story = _Story(bench, wired, plan.level, t0, phases)
    try:
        with phases.step("choose-point"):
            offered = find(wired.repository, bench.catalog, wired.system.id)
            story.note_problems(offered.problems)
            story.point = choose(offered.points, wired.system.id, plan.point).point
        chosen = members(story.point, wired)
        with bench.scratch.open(workspace_name, needed_bytes(chosen)) as workspace:
            story.restore_and_prove(story.point, workspace)
    except DrmgrError as error:
        return story.outcome(error)
    return story.outcome(None)


_READABLE = Text("恢复点均可读取", "every recovery point can be read")


class _Story:
    """What has become of one system so far; turned into its outcome at any point."""

    def __init__(self, bench: Bench, wired: WiredSystem, wanted: Level, t0: datetime, phases: Phases) -> None:
        self.point: RecoveryPoint | None = None
        self._bench = bench
        self._wired = wired
        self._wanted = wanted
        self._t0 = t0
        self._t4: datetime | None = None
        self._t5: datetime | None = None
        self._t6: datetime | None = None
        self._phases = phases
        self._checks: tuple[CheckResult, ...] = ()

    def note_problems(self, problems: Sequence[str]) -> None:
        """A repository that lost something fails the drill, even where an older point would still restore."""
        status = CheckStatus.FAIL if problems else CheckStatus.PASS
        message = "; ".join(problems[:5])
        self._checks = (
            CheckResult("points-readable", status, Level.STRUCTURE, 0, len(problems), title=_READABLE, message=message),
        )

    def restore_and_prove(self, point: RecoveryPoint, workspace: Workspace) -> None:
        clock = self._bench.clock
        self._t4 = clock.now()
        chosen = members(point, self._wired)
        loaded = load_into_scratch(self._bench, self._wired, chosen, workspace, self._phases)
        self._t5 = clock.now()
        with self._phases.step("verify"):
            restored = Restored(point, loaded, self._wired.system.objectives)
            self._checks += prove(self._bench, self._wired.checks, restored)
        self._t6 = clock.now()

    def outcome(self, error: DrmgrError | None) -> Outcome:
        objectives = self._wired.system.objectives
        t6 = self._t6 if error is None else None
        rto = Measure(objectives.rto.total_seconds(), None if t6 is None else (t6 - self._t0).total_seconds())
        lost = None if self.point is None or t6 is None else (self._t0 - self.point.consistent_at).total_seconds()
        rpo = Measure(objectives.rpo.total_seconds(), lost)
        level = level_reached(self._checks) if error is None else Level.STRUCTURE
        return Outcome(
            system=self._wired.system,
            verdict=verdict(self._checks, error, level >= self._wanted and rto.met and rpo.met),
            level=level,
            timeline=Timeline(self._t0, self._t0, self._t0, self._t0, self._t4, self._t5, t6),
            rto=rto,
            rpo=rpo,
            point=self.point,
            checks=self._checks,
            phases=tuple(self._phases.done),
            error=None if error is None else error_json(error),
        )


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
