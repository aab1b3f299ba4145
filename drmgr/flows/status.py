"""How each system stands: decided from its objectives, its repository and the signed evidence, never from 'a run said ok'."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from drmgr.errors import DrmgrError, SpoolFullError
from drmgr.flows.points import SealedPoint, believed, find
from drmgr.flows.reach import reach
from drmgr.flows.shipped import ranges_in
from drmgr.flows.status_care import care_problems
from drmgr.flows.status_drills import drill_problems
from drmgr.flows.watched import CLOCK_TOLERANCE, DrillProof, Watched, code_of, ended, span
from drmgr.interfaces import Catalog, Clock
from drmgr.model import PointStatus, RecoveryPoint, Rest, Run, RunKind, RunStatus, Snapshot, SwapPhase, System
from drmgr.trouble import Problem

WORST_FIRST = (
    "repository-unreachable", "repository-access", "repository-missing", "repository-damaged", "repository",
    "repository-locked", "check-failed", "point-suspicious", "unprotected", "point-damaged", "no-point",
    "source-unprotected", "clock", "spool-full", "rpo-missed", "run-failed", "run-overlong", "swap-unfinished",
    "restore-unfinished", "drill-failed", "evidence-broken", "rto-missed", "copy-damaged", "copy-unreachable",
    "copy-behind", "drill-overdue", "point-incomplete",
)  # fmt: skip
"""The order in which trouble is shown; what is not named here comes first."""


OVERLONG = {RunKind.SHIP: timedelta(hours=2)}
OTHERWISE_OVERLONG = timedelta(days=1)
"""A run that is open for longer is told of, unless one of its kind that did well took half as long."""


@dataclass(frozen=True)
class Health:
    """How one system stands. ``newest`` is the instant up to which its data can be brought back; None: unknown or none.

    ``known`` are all points that the repository told. ``rests`` are restores whose rest is still to come, and whether a run
    is at work on it.
    """

    system: System
    point: RecoveryPoint | None
    newest: datetime | None
    age: float | None
    proof: DrillProof | None
    problems: tuple[Problem, ...]
    points: int = 0
    reachable: bool = False
    rests: tuple[tuple[Rest, bool], ...] = ()
    known: tuple[RecoveryPoint, ...] = ()

    @property
    def ok(self) -> bool:
        return not self.problems

    @property
    def rpo_met(self) -> bool:
        """Never true when the age is not known, comes from a clock that cannot be right, or is not that of all sources."""
        if self.age is None or any(each.code in {"clock", "source-unprotected"} for each in self.problems):
            return False
        return -CLOCK_TOLERANCE.total_seconds() <= self.age <= self.system.objectives.rpo.total_seconds()


def health(watched: Watched, catalog: Catalog, clock: Clock) -> Health:
    """Looks at one system. Never raises a DrmgrError: what cannot be looked at is itself trouble."""
    judge = _Judge(watched, catalog, clock.now())
    for look in (
        judge.look_at_repository,
        judge.look_at_runs,
        judge.look_at_care,
        judge.look_at_drills,
        judge.look_at_rests,
        judge.look_at_swaps,
    ):
        try:
            look()
        except DrmgrError as error:
            judge.cannot(error)
    return judge.health()


def by_trouble(found: Sequence[Health]) -> list[Health]:
    """The worst first, then by tier."""
    return sorted(found, key=lambda each: (_rank(each), each.system.tier, each.system.id))


def _rank(found: Health) -> int:
    ranks = [WORST_FIRST.index(each.code) if each.code in WORST_FIRST else -1 for each in found.problems]
    return min(ranks, default=len(WORST_FIRST))


class _Judge:
    def __init__(self, watched: Watched, catalog: Catalog, now: datetime) -> None:
        self._watched = watched
        self._catalog = catalog
        self._now = now
        self._system = watched.system
        self._problems: list[Problem] = []
        self._points: tuple[SealedPoint, ...] = ()
        self._point: RecoveryPoint | None = None
        self._newest: datetime | None = None
        self._reachable = False
        self._rests: tuple[tuple[Rest, bool], ...] = ()

    def health(self) -> Health:
        age = None if self._newest is None else (self._now - self._newest).total_seconds()
        proofs = sorted(self._watched.proofs, key=lambda each: each.at)
        return Health(
            system=self._system,
            point=self._point,
            newest=self._newest,
            age=age,
            proof=proofs[-1] if proofs else None,
            problems=tuple(self._problems),
            points=len(self._points),
            reachable=self._reachable,
            rests=self._rests,
            known=tuple(sealed.point for sealed in self._points),
        )

    def cannot(self, error: DrmgrError) -> None:
        """Something could not be looked at."""
        self._say(error.code, error.message)

    def _say(self, code: str, message: str, subject: str = "", **figures: object) -> None:
        self._problems.append(Problem(self._system.id, code, message, subject, figures))

    # --- what the repository itself tells ---

    def look_at_repository(self) -> None:
        repository = self._watched.repository
        found = find(repository, self._catalog, self._system.id)
        self._reachable = True
        self._points = found.points
        if found.problems:
            more = f" (and {len(found.problems) - 1} more)" if len(found.problems) > 1 else ""
            self._say("point-damaged", found.problems[0] + more, count=len(found.problems))
        doubts, newest = self._watched.doubts(found), found.points[-1] if found.points else None
        if newest is not None and newest.seal in doubts:
            self._say("point-suspicious", f"the newest point {newest.point.id} is suspicious: {doubts[newest.seal]}")
        complete = [sealed for sealed in found.points if sealed.point.status is PointStatus.COMPLETE]
        if found.points and found.points[-1].point.status is not PointStatus.COMPLETE:
            self._say("point-incomplete", "the newest backup could not read all files")
        ahead = max((sealed.point.created_at for sealed in found.points), default=self._now)
        if ahead > self._now + CLOCK_TOLERANCE:
            self._say("clock", f"a recovery point was made {span(ahead - self._now)} in the future: the clock is wrong")
        if not complete:
            self._say("no-point", "there is no complete recovery point")
            return
        # the catalog may remember what the repository never said
        self._point = believed(repository, complete[-1])
        self._newest = max(self._point.consistent_at, self._shipped_until(self._point, found.snapshots))
        self._look_at_rpo()
        lacking = self._watched.sources - {member.source for member in self._point.members}
        if lacking:
            names = ", ".join(sorted(lacking))
            self._say("source-unprotected", f"no backup was made yet of {names}: the newest point holds nothing of it")

    def _shipped_until(self, point: RecoveryPoint, snapshots: Sequence[Snapshot]) -> datetime:
        """How far shipped logs carry the whole system: as far as the source that comes least far."""
        reached = []
        for member in point.members:
            carried = None
            if member.source in self._watched.logged:
                carried = reach(member, ranges_in(snapshots, member.source))
            reached.append(member.consistent_at if carried is None else carried.until)
        return min(reached, default=point.consistent_at)

    def _look_at_rpo(self) -> None:
        assert self._newest is not None
        age, rpo = self._now - self._newest, self._system.objectives.rpo
        if age > rpo:
            told = f"the newest data are {span(age)} old, promised are {span(rpo)}"
            self._say("rpo-missed", told, age=age.total_seconds(), rpo=rpo.total_seconds())

    # --- what was recorded: bad news is believed, good news is not asked for ---

    def look_at_runs(self) -> None:
        for kind in (RunKind.BACKUP, RunKind.SHIP):
            newest = self._catalog.runs(self._system.id, kind, limit=1)
            if newest and newest[0].started_at > self._now + CLOCK_TOLERANCE:
                ahead = span(newest[0].started_at - self._now)
                self._say("clock", f"a run was recorded {ahead} in the future: the clock is wrong", "runs")
            decided = self._catalog.runs(self._system.id, kind, decided=True, limit=20)
            for source, run in self._newest_of_each(decided).items():
                if run.status not in {RunStatus.FAILED, RunStatus.INTERRUPTED}:
                    continue
                subject = f"{kind.value} {source}".strip()
                self._say("run-failed", f"the last {subject} {ended(run)}", subject, error=code_of(run))
                if code_of(run) == SpoolFullError.code:
                    # an alarm of its own: that of the store which is away was told long ago
                    text = f"no room to wait is left for the log of {source}: its server keeps the rest on its own disk"
                    self._say(SpoolFullError.code, text, source)

        self._look_at_open_runs()

    def _look_at_open_runs(self) -> None:
        drills = {drill.name for drill in self._watched.drills}
        for run in self._catalog.open_runs():
            if run.system not in (drills if run.kind is RunKind.DRILL else {self._system.id}):
                continue
            open_for, usual = self._now - run.started_at, OVERLONG.get(run.kind, OTHERWISE_OVERLONG)
            if open_for > usual and open_for > 2 * self._longest(run):
                subject = f"{run.kind.value} {run.system}"
                text = f"the {subject} has been running for {span(open_for)}: is it hanging? its run is {run.id}"
                self._say("run-overlong", text, subject, age=open_for.total_seconds())

    def _longest(self, like: Run) -> timedelta:
        """How long the longest of its kind took that did well lately."""
        past = self._catalog.runs(like.system, like.kind, decided=True, limit=20)
        took = [run.finished_at - run.started_at for run in past if run.finished_at and run.status is RunStatus.OK]
        return max(took, default=timedelta(0))

    def _newest_of_each(self, runs: Sequence[Run]) -> dict[str, Run]:
        """The newest run of all, or of each source whose log is shipped: one that does well must not hide another."""
        newest: dict[str, Run] = {}
        for run in runs:
            source = str(run.detail.get("source", ""))
            if source in self._watched.logged or not newest:
                newest.setdefault(source, run)
        return newest

    def look_at_rests(self) -> None:
        self._rests = tuple(self._watched.rests())
        for rest, at_work in self._rests:
            if not at_work:
                self._say(
                    "restore-unfinished",
                    "the rest of a restore is still to come, and nobody is at work on it",
                    rest.run,
                )

    def look_at_care(self) -> None:
        self._problems += care_problems(self._watched, self._catalog, self._begun() or self._now, self._now)

    def look_at_drills(self) -> None:
        self._problems += drill_problems(self._watched, self._catalog, self._begun(), self._now)

    def _begun(self) -> datetime | None:
        """When the first point was made, also one that is gone: a system becomes no younger by losing its points."""
        made = [sealed.point.created_at for sealed in self._points]
        return min([*made, *([self._watched.begun] if self._watched.begun else [])], default=None)

    def look_at_swaps(self) -> None:
        for swap in self._watched.swaps():
            if swap.broken_off or swap.phase is SwapPhase.PROVEN:
                stands = "broken off between two renames" if swap.broken_off else "proven, and waits to be put in place"
                self._say("swap-unfinished", f"a restore in its own place is {stands}: --finish or --undo it", swap.run)
