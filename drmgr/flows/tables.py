"""Lays single tables of a recovery point beside the live ones, and counts what has changed since.

The source comes back on scratch as in any restore, and is proven there. Only then is a table copied, under a name that
nothing has. The live table is read and never written.
"""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from datetime import datetime

from drmgr.errors import DrmgrError, LoadError
from drmgr.flows.aim import Aim
from drmgr.flows.bench import Bench, Source, WiredSystem, recorded
from drmgr.flows.bringback import (
    Phases,
    level_reached,
    load_into_scratch,
    members,
    needed_bytes,
    prove,
    target_reached,
)
from drmgr.flows.course import Course, told_in
from drmgr.flows.origin import origin_of, versions_of_all
from drmgr.flows.restore import sealed_as
from drmgr.flows.restoreplan import RestorePlan, ToScratch
from drmgr.flows.story import verdict
from drmgr.flows.tablediff import common_key, compare
from drmgr.flows.tableplan import Beside, TablePlan, ending, live_table, not_there, planned_tables
from drmgr.interfaces import TableEngine, Workspace
from drmgr.model import (
    CheckResult,
    CheckStatus,
    DrillRecord,
    EvidenceEntry,
    Instance,
    LaidAs,
    LaidTable,
    Level,
    Outcome,
    RunKind,
    RunStatus,
    TableChange,
    TableProof,
    TableShape,
    TableStatements,
    Text,
    Verdict,
)


@dataclass(frozen=True)
class TableDone:
    """What became of one table, by the name it was ``asked`` for.

    ``laid`` None: it stayed on scratch. ``change`` None: there is no live table of that name.
    """

    asked: str
    table: TableShape
    proof: TableProof
    laid: LaidTable | None
    change: TableChange | None
    statements: TableStatements | None


@dataclass(frozen=True)
class TablesDone:
    """What became of all of them. ``instances`` are kept scratch instances by their source."""

    record: DrillRecord
    outcome: Outcome
    evidence: EvidenceEntry
    tables: tuple[TableDone, ...]
    instances: Mapping[str, Instance] = field(default_factory=dict)


def lay_tables(bench: Bench, wired: WiredSystem, plan: TablePlan) -> TablesDone:
    """All of the tables are laid, or none; evidence is sealed whether it went well or not.

    Raises NotAllowedError, PointNotFoundError and UsageError before anything is written; afterwards the error that
    stopped it, once the evidence is sealed.
    """
    system = wired.system.id
    with recorded(bench, RunKind.RESTORE, system, plan.reason) as run, bench.locks.hold(f"restore-{system}"):
        t0, started = bench.clock.now(), bench.clock.monotonic()
        source, aim, doubts = planned_tables(bench, wired, plan)
        act = _Act(bench, wired, plan, source=source, aim=aim, doubts=doubts, t0=t0, started=started)
        error: DrmgrError | None = None
        try:
            act.perform(run.run.id)
        except DrmgrError as caught:
            error = caught
        outcome = act.outcome(error)
        as_restore = RestorePlan(plan.point, ToScratch(plan.keep), (source.name,), plan.reason, plan.occasion, plan.at)
        record = replace(
            sealed_as(bench, as_restore, run.run.id, outcome, wired.copy), target=plan.target, laid=act.laid
        )
        entry = bench.evidence.seal(record)
        run.detail.update(
            point=aim.point.id, target=plan.target, reason=plan.reason, evidence=entry.id, copy=wired.copy
        )
        run.detail.update(tables={done.table.label: done.laid.shape.label if done.laid else "" for done in act.done})
        if error is not None:
            raise error
        run.status = RunStatus.OK if outcome.verdict is Verdict.PASSED else RunStatus.FAILED
        return TablesDone(record, outcome, entry, tuple(act.done), act.instances)


class _Act:
    """One run under way."""

    def __init__(
        self,
        bench: Bench,
        wired: WiredSystem,
        plan: TablePlan,
        *,
        source: Source,
        aim: Aim,
        doubts: tuple[CheckResult, ...],
        t0: datetime,
        started: float,
    ) -> None:
        self.done: list[TableDone] = []
        self.instances: dict[str, Instance] = {}
        self._bench = bench
        self._wired = wired
        self._plan = plan
        self._source = source
        self._aim = aim
        self._chosen = members(aim.point, wired, (source.name,))
        self._checks = doubts
        self._course = Course(bench.clock, t0, started, told_in(plan.occasion, plan.told))
        self._phases = Phases(bench, wired.system.id)
        self._into: Mapping[str, Mapping[str, str]] = {}

    def perform(self, run: str) -> None:
        self._course.went_to(self._aim.instant)
        self._course.restoring()
        needed = needed_bytes(self._chosen, self._aim.replays)
        with self._bench.scratch.open(run, needed) as workspace:
            restored = self._bring_back(workspace)
            if not self._sound():
                # what is not the recovery point is laid beside nothing
                self._checks += (_NOT_LAID,)
                self._course.verified()
                return
            shapes = [self._restored_shape(restored, asked) for asked in self._plan.tables]
            with self._all_or_none() as laid:
                self.done = [self._one(asked, shape, restored, laid) for asked, shape in shapes]
            self._course.verified()
            if self._plan.beside is None:
                self._bench.scratch.keep(run, self._bench.clock.now() + self._plan.keep)
                self.instances[self._source.name] = restored

    def _bring_back(self, workspace: Workspace) -> Instance:
        replays = self._aim.replays
        loaded = load_into_scratch(self._bench, self._wired, self._chosen, workspace, self._phases, replays=replays)
        self._course.usable()
        # the facts are those of the recovery point, and a replay went on from there
        checks = tuple(check for check in self._wired.checks if not (replays and check.level is Level.FACTS))
        with self._phases.step("verify"):
            restored = self._aim.restored(loaded.instances, self._wired.system.objectives)
            self._checks += prove(self._bench, checks, restored)
        self._checks += tuple(target_reached(name, replay, loaded.reached[name]) for name, replay in replays.items())
        self._into = versions_of_all(self._wired, loaded.instances)
        return loaded.instances[self._source.name]

    def _sound(self) -> bool:
        """Whether the restored source is proven to be what was backed up. What it means is for people to see."""
        wrong = (CheckStatus.FAIL, CheckStatus.ERROR)
        return not any(check.status in wrong and check.level <= Level.FACTS for check in self._checks)

    @property
    def _tables(self) -> TableEngine:
        assert self._source.tables is not None
        return self._source.tables

    def _restored_shape(self, restored: Instance, asked: str) -> tuple[str, TableShape]:
        shape = self._tables.table(restored, asked)
        if shape is None:
            raise not_there(self._aim.point, self._source, asked)
        return asked, shape

    def _one(self, asked: str, table: TableShape, restored: Instance, stay: list[LaidTable]) -> TableDone:
        beside, source = self._plan.beside, self._source.name
        old, laid = (self._tables, restored, table), None
        if beside is None:
            proof = self._tables.proof(restored, table)
        else:
            with self._phases.step("lay-table", source):
                laid = self._lay(beside, table, restored)
            place = beside.engine.target()
            stay.append(laid)
            old, proof = (beside.tables, place, laid.shape), laid.proof
        self._prove_rows(table, proof, laid)
        with self._phases.step("compare", source):
            change = self._compare(asked, old, proof)
        self._checks += (_told_change(table, change, source),)
        statements = self._statements(asked, laid, change)
        if statements is not None and laid is not None and change is None:
            # the rows alone bring nothing into use again
            statements = replace(statements, place=self._tables.into_place(restored, table, laid.shape))
        return TableDone(asked, table, proof, laid, change, statements)

    def _lay(self, beside: Beside, table: TableShape, restored: Instance) -> LaidTable:
        tail, place = ending(self._bench, self._aim, self._source), beside.engine.target()
        name = beside.tables.free_name(place, table, tail)
        progress = self._bench.progress(f"{self._wired.system.id} {table.label}")
        return beside.tables.lay(restored, table, place, name, progress)

    def _prove_rows(self, table: TableShape, proof: TableProof, laid: LaidTable | None) -> None:
        """Its rows against the facts of the recovery point; a replay went on from there, and counts alone tell less."""
        facts = self._aim.point.member(self._source.name).facts
        wanted = None if self._aim.replays else self._tables.expected(facts, table)
        status = CheckStatus.PASS if wanted in (None, proof) else CheckStatus.FAIL
        where = laid.shape.label if laid else "scratch"
        title = Text(f"表 {table.label} 与恢复点一致（{where}）", f"table {table.label} as in the point ({where})")
        level = Level.OPENS if wanted is None else Level.FACTS
        expected, actual = _proof_json(wanted or proof), _proof_json(proof)
        name, source = f"table-{table.label}", self._source.name
        self._checks += (CheckResult(name, status, level, expected, actual, source=source, title=title),)
        if status is CheckStatus.FAIL:
            raise LoadError(f"the rows of {table.label} are not those that the recovery point's facts tell of")

    def _compare(
        self, asked: str, old: tuple[TableEngine, Instance, TableShape], proof: TableProof
    ) -> TableChange | None:
        live = live_table(self._source, asked)
        if live is None:
            return None
        change = compare(old, (self._tables, self._source.engine.target(), live))
        if change.before != proof.rows:
            raise LoadError(f"{proof.rows} rows of {old[2].label} were proven, and {change.before} were read")
        return change

    def _statements(self, asked: str, laid: LaidTable | None, change: TableChange | None) -> TableStatements | None:
        beside = self._plan.beside
        if beside is None or laid is None:
            return None
        live = live_table(self._source, asked) if change is not None else None
        if live is None or not self._same_place(beside):
            return TableStatements({}, beside.tables.statements(laid.shape, laid.shape, (), ()).drop)
        columns = [column for column in laid.shape.columns if column in live.columns]
        return beside.tables.statements(live, laid.shape, columns, common_key(laid.shape, live))

    def _same_place(self, beside: Beside) -> bool:
        own, other = self._source.engine, beside.engine
        here, there = own.target(), other.target()
        # one account may be told who the server is, and the other not
        address = replace(here, user="", passfile=None) == replace(there, user="", passfile=None)
        return address or own.identity(here) == other.identity(there)

    @contextmanager
    def _all_or_none(self) -> Iterator[list[LaidTable]]:
        """What is in the list stays only if nothing goes wrong inside the block."""
        laid: list[LaidTable] = []
        try:
            yield laid
        except BaseException as failure:
            left = [each.shape.label for each in laid if not self._dropped(each)]
            if left and isinstance(failure, DrmgrError):
                raise LoadError(
                    f"{failure.message}; and what was laid could not be dropped: {', '.join(left)}",
                    hint="drop it yourself; no program uses it",
                ) from failure
            raise

    def _dropped(self, laid: LaidTable) -> bool:
        beside = self._plan.beside
        assert beside is not None
        try:
            beside.tables.drop(beside.engine.target(), laid)
        except DrmgrError:
            return False
        return True

    @property
    def laid(self) -> tuple[LaidAs, ...] | None:
        """The names of those that stay; None where all was to stay on scratch."""
        if self._plan.beside is None:
            return None
        source = self._source.name
        return tuple(
            LaidAs(source, each.table.label, each.laid.shape.label, each.statements.place if each.statements else ())
            for each in self.done
            if each.laid is not None
        )

    def outcome(self, error: DrmgrError | None) -> Outcome:
        made = tuple(check for check in self._checks if check.status is not CheckStatus.SKIPPED)
        return self._course.outcome(
            self._wired.system,
            point=self._aim.point,
            checks=self._checks,
            phases=self._phases.done,
            level=level_reached(made),
            verdict=verdict(made, error, objectives_met=True),
            error=error,
            origin=origin_of(self._wired, self._aim.point, self._aim.replays, self._into),
        )


_NOT_LAID = CheckResult(
    "tables-laid",
    CheckStatus.SKIPPED,
    Level.STRUCTURE,
    title=Text("未放置任何表", "no table was laid"),
    message="what was restored is not proven to be what was backed up",
)


def _proof_json(proof: TableProof) -> dict[str, int | str]:
    return {"rows": proof.rows, "fingerprint": proof.fingerprint}


def _told_change(table: TableShape, change: TableChange | None, source: str) -> CheckResult:
    """The counts, for the record: there is no right or wrong about them."""
    counts = None
    if change is not None:
        counts = {"before": change.before, "now": change.now, "added": change.added, "removed": change.removed}
        counts |= {} if change.changed is None else {"changed": change.changed}
    title = Text(f"表 {table.label} 此后的变化", f"what has changed in the table {table.label} since")
    message = "there is no live table of that name" if change is None else ""
    return CheckResult(
        f"changes-{table.label}",
        CheckStatus.PASS,
        Level.STRUCTURE,
        None,
        counts,
        source=source,
        title=title,
        message=message,
    )
