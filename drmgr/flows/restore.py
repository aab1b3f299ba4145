"""Restore of one system to where the engineer says: scratch that is kept, a folder, or an allowed connection."""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta

from drmgr.errors import DrmgrError, Interrupted, PreflightError
from drmgr.flows.aim import Aim
from drmgr.flows.bench import Bench, WiredSystem, recorded
from drmgr.flows.bringback import (
    Phases,
    fetch,
    level_reached,
    load_into_scratch,
    members,
    needed_bytes,
    prove,
    target_reached,
)
from drmgr.flows.course import Course, told_in
from drmgr.flows.drill import overall
from drmgr.flows.leftovers import left_behind
from drmgr.flows.origin import origin_of, versions_of_all
from drmgr.flows.original import OriginalRestore, ToOriginal
from drmgr.flows.restoreplan import RestorePlan, ToConnection, ToFolder, ToScratch, describe, planned
from drmgr.flows.story import verdict
from drmgr.flows.tofolder import FolderRestore, NewestFirst, can_be_used
from drmgr.interfaces import Check, Engine, Progress
from drmgr.model import (
    CheckResult,
    CheckStatus,
    DrillRecord,
    EvidenceEntry,
    Instance,
    Level,
    Outcome,
    Rest,
    RunKind,
    RunStatus,
    Swap,
    SwapPhase,
    Text,
    Verdict,
    move_to_json,
)


@dataclass(frozen=True)
class RestoreDone:
    """What became of it. ``instances`` are those still running, or the folders written."""

    record: DrillRecord
    outcome: Outcome
    evidence: EvidenceEntry
    instances: Mapping[str, Instance] = field(default_factory=dict)
    rest: Rest | None = None
    """What another run is to bring."""
    swap: Swap | None = None
    by_hand: tuple[str, ...] = ()
    """What a person has to type until the servers in place run again."""


def restore(bench: Bench, wired: WiredSystem, plan: RestorePlan) -> RestoreDone:
    """Restores and verifies; evidence is sealed whether it went well or not.

    Raises NotAllowedError and PointNotFoundError before anything is written; afterwards the error that stopped it, once
    the evidence is sealed.
    """
    system = wired.system.id
    with recorded(bench, RunKind.RESTORE, system, plan.reason) as run, bench.locks.hold(f"restore-{system}"):
        t0, started = _begun(bench, plan)
        found, doubts = planned(bench, wired, plan)
        act = _Act(bench, wired, plan, aim=found, doubts=doubts, run=run.run.id, t0=t0, started=started)
        error: DrmgrError | None = None
        try:
            act.perform()
        except Interrupted as stop:
            stop.left = left_behind(plan.target, system, run.run.id, loading=act.loading)
            raise
        except DrmgrError as caught:
            error = caught
            # refused before anything was loaded: what is there is somebody's own
            if act.loading and isinstance(plan.target, ToConnection) and not isinstance(caught, PreflightError):
                left = left_behind(plan.target, system, run.run.id, loading=True)
                error.hint = f"{error.hint}; {left}" if error.hint else left
        outcome = act.outcome(error)
        record = sealed_as(bench, plan, run.run.id, outcome, wired.copy)
        record = replace(record, swap=act.swap)
        entry = bench.evidence.seal(record)
        act.sealed(error)
        run.detail.update(
            point=found.point.id, target=record.target, reason=plan.reason, evidence=entry.id, copy=wired.copy
        )
        if act.swap is not None:
            run.detail.update(swap=act.swap.phase.value, moves=[move_to_json(move) for move in act.swap.moves])
        if error is not None:
            raise error
        run.status = RunStatus.OK if outcome.verdict is Verdict.PASSED else RunStatus.FAILED
        return RestoreDone(record, outcome, entry, act.instances, act.rest, act.swap, act.by_hand)


def _begun(bench: Bench, plan: RestorePlan) -> tuple[datetime, float]:
    """T0, and the same instant by the monotonic clock: those of the run whose rest is restored now."""
    now, ticks = bench.clock.now(), bench.clock.monotonic()
    newest = plan.target.newest if isinstance(plan.target, ToFolder) else None
    if newest is None or newest.left is None:
        return now, ticks
    return newest.left.t0, ticks - max(0.0, (now - newest.left.t0).total_seconds())


class _Act:
    """One restore under way."""

    def __init__(
        self,
        bench: Bench,
        wired: WiredSystem,
        plan: RestorePlan,
        *,
        aim: Aim,
        doubts: tuple[CheckResult, ...],
        run: str,
        t0: datetime,
        started: float,
    ) -> None:
        self.instances: dict[str, Instance] = {}
        self.rest: Rest | None = None
        self.swap: Swap | None = None
        self.by_hand: tuple[str, ...] = ()
        self.loading = False
        """Whether the database of a connection was begun to be filled."""
        self._bench = bench
        self._wired = wired
        self._plan = plan
        self._aim = aim
        self._point = aim.point
        self._replays = aim.replays
        self._run = run
        self._course = Course(bench.clock, t0, started, told_in(plan.occasion, plan.told))
        self._loaded: Mapping[str, Instance] = {}
        self._into: Mapping[str, Mapping[str, str]] = {}
        self._phases = Phases(bench, wired.system.id)
        self._chosen = members(aim.point, wired, plan.sources)
        self._checks = doubts

    def perform(self) -> None:
        self._course.went_to(self._aim.instant)
        self._course.restoring()
        match self._plan.target:
            case ToScratch(keep=keep):
                self._to_scratch(keep)
            case ToFolder() as target:
                self._to_folder(target)
            case ToConnection(engine=engine):
                self._to_connection(engine)
            case ToOriginal() as target:
                self._to_original(target)

    def _to_scratch(self, keep: timedelta) -> None:
        scratch = self._bench.scratch
        replays = self._replays
        with scratch.open(self._run, needed_bytes(self._chosen, replays)) as workspace:
            loaded = load_into_scratch(self._bench, self._wired, self._chosen, workspace, self._phases, replays=replays)
            self._usable(loaded.instances)
            # the facts are those of the recovery point, and a replay went on from there
            self._prove(tuple(check for check in self._wired.checks if not (replays and check.level is Level.FACTS)))
            self._checks += tuple(
                target_reached(name, replay, loaded.reached[name]) for name, replay in replays.items()
            )
            scratch.keep(self._run, self._bench.clock.now() + keep)
            self.instances.update(loaded.instances)

    def _to_folder(self, target: ToFolder) -> None:
        newest, folder = target.newest, FolderRestore(self._bench, self._wired, target.folder, self._phases)
        for member in self._chosen:
            self.instances[member.source] = Instance(engine=member.engine, path=target.path / member.source)
        if newest is None or newest.left is None:
            later = folder.first(self._chosen)
            self.rest = None if newest is None or not later else self._to_come(newest, target, later)
        else:
            self._course.goes_on(newest.left.t4, newest.left.t5)
            self.rest = replace(newest.left, worker=self._run)
        self._name(folder, target)
        if newest is not None and self.rest is not None:
            if newest.background and newest.left is None:
                self._checks += newest_checks(folder.newest_files)
                return
            folder.rest(self._chosen, self.rest, newest.book)
        self._course.verified()
        files = sum(part.files for member in self._chosen for part in member.parts)
        # restic verified each blob's hash on the way; what arrived was counted
        self._checks += (
            CheckResult("files-complete", CheckStatus.PASS, Level.STRUCTURE, files, files, title=_FILES_COMPLETE),
        )

    def _to_come(self, newest: NewestFirst, target: ToFolder, later: tuple[str, ...]) -> Rest:
        return Rest(
            run=self._run,
            worker=self._run,
            system=self._wired.system.id,
            point=self._point.id,
            target=target.path,
            since=newest.since,
            sources=self._plan.sources,
            copy=self._wired.copy,
            t0=self._course.begun,
            t4=self._course.restored_from,
            t5=None,
            later=later,
            told=self._plan.told,
            occasion=self._plan.occasion,
        )

    def _name(self, folder: FolderRestore, target: ToFolder) -> None:
        """T5. What is still to come is noted before the folder gets its name: nobody would know afterwards."""
        newest, rest = target.newest, self.rest
        if newest is not None and rest is not None:
            newest.book.note(rest)
        folder.take_name()
        if self._course.usable_at is None:
            self._course.usable()
        if newest is not None:
            if rest is not None:
                self.rest = replace(rest, t5=self._course.usable_at)
                newest.book.note(self.rest)
            newest.tell(can_be_used(target.path, newest.since, self._chosen, rest.later if rest else ()))

    def sealed(self, error: DrmgrError | None) -> None:
        """Evidence is there: a rest that has come, and was not left to another run, is none any more."""
        target = self._plan.target
        newest = target.newest if isinstance(target, ToFolder) else None
        if (
            newest is not None
            and self.rest is not None
            and (newest.left is not None or not newest.background)
            and error is None
        ):
            newest.book.strike(self.rest)
            self.rest = None

    def _to_connection(self, engine: Engine) -> None:
        member, bench = self._chosen[0], self._bench
        with bench.scratch.open(self._run, needed_bytes(self._chosen)) as workspace:
            staged = workspace.stage(member.source)
            with self._phases.step("restore", member.source):
                fetch(bench, self._wired, member, staged)
            with self._phases.step("load", member.source):
                loaded = engine.load(
                    staged, engine.target(), self._noting(bench.progress(f"{self._wired.system.id} load"))
                )
            self._usable({member.source: loaded})
            self._prove(self._wired.checks)
        self.instances[member.source] = loaded

    def _noting(self, progress: Progress) -> Progress:
        """An engine has looked whether its target is empty before it tells of anything that is done."""

        def said(share: float, word: str) -> None:
            self.loading |= share > 0
            progress(share, word)

        return said

    def _to_original(self, target: ToOriginal) -> None:
        # to be looked at when it is broken off as well
        act = OriginalRestore(
            self._bench,
            self._wired,
            target,
            aim=self._aim,
            begun=self._begun(),
            phases=self._phases,
            course=self._course,
        )
        try:
            act.perform(self._chosen, self._checks)
        finally:
            self._checks += act.result.checks
            self.instances.update(act.result.instances)
            self._into = versions_of_all(self._wired, act.result.instances)
            self.swap, self.by_hand = act.result.swap, act.result.by_hand

    def _begun(self) -> Swap:
        plan = self._plan
        return Swap(
            run=self._run,
            system=self._wired.system.id,
            phase=SwapPhase.BESIDE,
            point=self._point.id,
            reason=plan.reason,
            begun_at=self._course.begun,
            sources=tuple(member.source for member in self._chosen),
            copy=self._wired.copy,
            at=plan.at,
            told=plan.told,
            occasion=plan.occasion,
            brought_back=self._aim.instant,
            course=self._course.so_far,
        )

    def _usable(self, loaded: Mapping[str, Instance]) -> None:
        self._course.usable()
        self._loaded = loaded

    def _prove(self, checks: tuple[Check, ...]) -> None:
        with self._phases.step("verify"):
            restored = self._aim.restored(self._loaded, self._wired.system.objectives)
            self._checks += prove(self._bench, checks, restored)
        self._course.verified()
        self._into = versions_of_all(self._wired, self._loaded)

    def outcome(self, error: DrmgrError | None) -> Outcome:
        partial = tuple(check for check in self._checks if check.status is not CheckStatus.SKIPPED)
        return self._course.outcome(
            self._wired.system,
            point=self._point,
            checks=self._checks,
            phases=self._phases.done,
            level=level_reached(partial),
            # a restore is not judged by the objectives: the age of the point is what the engineer chose
            verdict=self._verdict(error, partial),
            error=error,
            origin=origin_of(self._wired, self._point, self._replays, self._into),
        )

    def _verdict(self, error: DrmgrError | None, partial: tuple[CheckResult, ...]) -> Verdict:
        if isinstance(self._plan.target, ToFolder) and error is None:
            # stored files as they are: complete is all that was asked
            return overall(
                [Verdict.PASSED if check.status is CheckStatus.PASS else Verdict.FAILED for check in partial]
            )
        return verdict(partial if self._plan.sources else self._checks, error, objectives_met=True)


def newest_checks(files: int) -> tuple[CheckResult, ...]:
    """What is proven when the rest is left to another run, and what is not."""
    rest = "the older files are still to come, by a run of their own"
    return (
        CheckResult("newest-complete", CheckStatus.PASS, Level.STRUCTURE, files, files, title=_NEWEST_COMPLETE),
        CheckResult("files-complete", CheckStatus.SKIPPED, Level.STRUCTURE, title=_FILES_COMPLETE, message=rest),
    )


_NEWEST_COMPLETE = Text("较新的文件已全部到位", "all of the newest files arrived")
_FILES_COMPLETE = Text("文件数与字节数一致", "all files and bytes arrived")


def sealed_as(bench: Bench, plan: RestorePlan, run: str, outcome: Outcome, copy: str) -> DrillRecord:
    system = outcome.system
    return DrillRecord(
        run=run,
        kind=RunKind.RESTORE,
        occasion=plan.occasion,
        name=f"restore-{system.id}",
        title=Text(f"{system.title.zh} 恢复", f"Restore of {system.title.en}"),
        scenario="restore",
        form="hands-on",
        site=bench.site,
        started_at=outcome.timeline.begun or bench.clock.now(),
        finished_at=bench.clock.now(),
        verdict=outcome.verdict,
        level=outcome.level,
        outcomes=(outcome,),
        destruction=tuple(proof for proof in bench.scratch.destructions() if run in proof.path),
        target=describe(plan.target),
        host=bench.host,
        operator=bench.operator,
        reason="; ".join(text for text in (plan.reason, f"from the copy {copy}" if copy else "", _part(plan)) if text),
        tools=bench.tools,
        timezone=bench.timezone,
        copy=copy,
    )


def _part(plan: RestorePlan) -> str:
    """Which part of a restore in two runs this is."""
    newest = plan.target.newest if isinstance(plan.target, ToFolder) else None
    if newest is None:
        return ""
    if newest.left is not None:
        return f"the rest of the restore {newest.left.run}"
    return f"the newest files first, those since {newest.since:%Y-%m-%d}" if newest.background else ""
