"""How each system stands: decided from its objectives, its repository and the signed evidence, never from 'a run said ok'."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from drmgr.errors import DrmgrError, SpoolFullError
from drmgr.flows.acceptance import doubted
from drmgr.flows.expire import Doubts
from drmgr.flows.points import SealedPoint, believed, find
from drmgr.flows.reach import log_ranges, reach
from drmgr.interfaces import Catalog, Clock, Repository
from drmgr.model import Measure, PointStatus, RecoveryPoint, Rest, Run, RunKind, RunStatus, Swap, SwapPhase, System
from drmgr.system.cron import Cron
from drmgr.trouble import Problem

CLOCK_TOLERANCE = timedelta(minutes=1)
"""What lies further ahead of our clock than this was written by another clock, or ours was set back."""

DRILL_GRACE = timedelta(days=1)
"""How long after its time a scheduled drill may still be played."""

WORST_FIRST = (
    "repository-unreachable", "repository-access", "repository-missing", "repository-damaged", "repository",
    "repository-locked", "point-suspicious", "unprotected", "point-damaged", "no-point", "clock", "spool-full",
    "rpo-missed", "run-failed", "swap-unfinished", "restore-unfinished", "drill-failed", "evidence-broken",
    "drill-overdue", "point-incomplete",
)  # fmt: skip
"""The order in which trouble is shown; what is not named here comes first."""


@dataclass(frozen=True)
class DrillProof:
    """What the newest evidence of one drill says of one system; ``broken`` tells why it cannot be believed."""

    drill: str
    at: datetime
    verdict: str
    rto: Measure | None = None
    broken: str = ""


@dataclass(frozen=True)
class DeclaredDrill:
    """A drill that plays this system; ``since`` is when its schedule was first seen."""

    name: str
    cron: Cron | None = None
    since: datetime | None = None


@dataclass(frozen=True)
class Watched:
    """One system, what proofs of it there are, and which drills should give them.

    ``rests`` gives unfinished restores, as in Health.
    ``locked`` are the places whose objects are locked, the copies by name and the system's own as an empty one, and for how
    long. ``logged`` are the sources whose logs are shipped. ``proofs`` are the newest of each declared drill.
    """

    system: System
    repository: Repository
    logged: frozenset[str]
    drills: tuple[DeclaredDrill, ...]
    proofs: tuple[DrillProof, ...]
    drill_within: timedelta
    doubts: Doubts = doubted
    locked: Mapping[str, timedelta] = field(default_factory=dict)
    rests: Callable[[], Sequence[tuple[Rest, bool]]] = tuple
    swaps: Callable[[], Sequence[Swap]] = tuple
    """The system's restores in its own place, as this host knows them."""


@dataclass(frozen=True)
class Health:
    """How one system stands. ``newest`` is the instant up to which its data can be brought back; None: unknown or none.

    ``rests`` are restores whose rest is still to come, and whether a run is at work on it.
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

    @property
    def ok(self) -> bool:
        return not self.problems

    @property
    def rpo_met(self) -> bool:
        """Never true when the age is not known, or comes from a clock that cannot be right."""
        if self.age is None or any(each.code == "clock" for each in self.problems):
            return False
        return -CLOCK_TOLERANCE.total_seconds() <= self.age <= self.system.objectives.rpo.total_seconds()


def health(watched: Watched, catalog: Catalog, clock: Clock) -> Health:
    """Looks at one system. Never raises a DrmgrError: what cannot be looked at is itself trouble."""
    judge = _Judge(watched, catalog, clock.now())
    for look in (
        judge.look_at_repository,
        judge.look_at_runs,
        judge.look_at_protection,
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
            self._say(
                "clock", f"a recovery point was made {_span(ahead - self._now)} in the future: the clock is wrong"
            )
        if not complete:
            self._say("no-point", "there is no complete recovery point")
            return
        # the catalog may remember what the repository never said
        self._point = believed(repository, complete[-1])
        self._newest = max(self._point.consistent_at, self._shipped_until(self._point))
        self._look_at_rpo()

    def _shipped_until(self, point: RecoveryPoint) -> datetime:
        """How far shipped logs carry the whole system: as far as the source that comes least far."""
        reached = []
        for member in point.members:
            carried = None
            if member.source in self._watched.logged:
                carried = reach(member, log_ranges(self._watched.repository, self._system.id, member.source))
            reached.append(member.consistent_at if carried is None else carried.until)
        return min(reached, default=point.consistent_at)

    def _look_at_rpo(self) -> None:
        assert self._newest is not None
        age, rpo = self._now - self._newest, self._system.objectives.rpo
        if age > rpo:
            told = f"the newest data are {_span(age)} old, promised are {_span(rpo)}"
            self._say("rpo-missed", told, age=age.total_seconds(), rpo=rpo.total_seconds())

    # --- what was recorded: bad news is believed, good news is not asked for ---

    def look_at_runs(self) -> None:
        for kind in (RunKind.BACKUP, RunKind.SHIP):
            runs = self._catalog.runs(self._system.id, kind, limit=20)
            if runs and runs[0].started_at > self._now + CLOCK_TOLERANCE:
                ahead = _span(runs[0].started_at - self._now)
                self._say("clock", f"a run was recorded {ahead} in the future: the clock is wrong", "runs")
            closed = [run for run in runs if run.status is not RunStatus.RUNNING and _code(run) != "locked"]
            for source, run in self._newest_of_each(closed).items():
                if run.status not in {RunStatus.FAILED, RunStatus.INTERRUPTED}:
                    continue
                subject = f"{kind.value} {source}".strip()
                self._say("run-failed", f"the last {subject} {_ended(run)}", subject, error=_code(run))
                if _code(run) == SpoolFullError.code:
                    # an alarm of its own: that of the store which is away was told long ago
                    text = f"no room to wait is left for the log of {source}: its server keeps the rest on its own disk"
                    self._say(SpoolFullError.code, text, source)

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

    def look_at_protection(self) -> None:
        """What the last ``repo protect`` of each place found, and whether there was one before the locks can run out."""
        runs = self._catalog.runs(self._system.id, RunKind.PROTECT, limit=100) if self._watched.locked else []
        begun = min((sealed.point.created_at for sealed in self._points), default=self._now)
        for copy, days in self._watched.locked.items():
            where = f" in the copy {copy}" if copy else ""
            ours = [run for run in runs if _of_place(run, copy)]
            if ours and ours[0].detail.get("problems"):
                self._say("unprotected", f"{ours[0].detail['problems'][0]}{where}", copy)
                continue
            since = next((run.started_at for run in ours if run.status is RunStatus.OK), begun)
            if self._now - since > days / 2:
                age = self._now - since
                told = f"no lock was extended for {_span(age)}{where}, and they last {_span(days)}"
                self._say("unprotected", told, copy, age=age.total_seconds())

    def look_at_swaps(self) -> None:
        for swap in self._watched.swaps():
            if swap.broken_off or swap.phase is SwapPhase.PROVEN:
                stands = "broken off between two renames" if swap.broken_off else "proven, and waits to be put in place"
                self._say("swap-unfinished", f"a restore in its own place is {stands}: --finish or --undo it", swap.run)

    # --- what the signed evidence tells ---

    def look_at_drills(self) -> None:
        for proof in self._watched.proofs:
            if proof.broken:
                self._say("evidence-broken", f"evidence of {proof.drill}: {proof.broken}", proof.drill)
            elif proof.verdict != "passed":
                self._say("drill-failed", f"the last drill {proof.drill} came to: {proof.verdict}", proof.drill)
            elif proof.at > self._now + CLOCK_TOLERANCE:
                self._say("clock", f"drill {proof.drill} was played in the future: the clock is wrong", proof.drill)
        for drill in self._watched.drills:
            self._look_at_drill_runs(drill)
            self._look_at_drill_schedule(drill)
        passed = [proof.at for proof in self._watched.proofs if proof.verdict == "passed" and not proof.broken]
        self._look_at_age_of_proof(max(passed, default=None))

    def _look_at_drill_runs(self, drill: DeclaredDrill) -> None:
        """A drill that failed so early that it left no evidence."""
        proven = max((proof.at for proof in self._watched.proofs if proof.drill == drill.name), default=None)
        runs = self._catalog.runs(drill.name, RunKind.DRILL, limit=20)
        closed = [run for run in runs if run.status is not RunStatus.RUNNING and _code(run) != "locked"]
        if not closed or closed[0].detail.get("evidence"):
            return
        if proven is None or closed[0].started_at > proven:
            self._say("drill-failed", f"drill {drill.name} {_ended(closed[0])}", drill.name, error=_code(closed[0]))

    def _look_at_drill_schedule(self, drill: DeclaredDrill) -> None:
        if drill.cron is None or drill.since is None:
            return
        played = max((proof.at for proof in self._watched.proofs if proof.drill == drill.name), default=drill.since)
        at = drill.cron.latest(self._now - DRILL_GRACE)
        if at > max(played, drill.since):
            late = self._now - at
            text = f"drill {drill.name} was due {_span(late)} ago and was not played"
            self._say("drill-overdue", text, drill.name, late=late.total_seconds())

    def _look_at_age_of_proof(self, passed: datetime | None) -> None:
        """Whether a drill passed lately. A system that is new has as much time for its first one."""
        begun = min((sealed.point.created_at for sealed in self._points), default=None)
        last = passed or begun
        if last is not None and self._now - last > self._watched.drill_within:
            age = self._now - last
            what = "the last drill that passed is" if passed else "no drill has ever passed, and the first backup is"
            self._say("drill-overdue", f"{what} {_span(age)} old", age=age.total_seconds())


def _of_place(run: Run, copy: str) -> bool:
    """Whether it was a protection of that place that came to its end."""
    closed = run.status in {RunStatus.OK, RunStatus.INCOMPLETE, RunStatus.FAILED}
    return closed and not run.detail.get("dry_run") and run.detail.get("copy", "") == copy


def _code(run: Run) -> str:
    return str(run.error.get("code", "")) if run.error else ""


def _ended(run: Run) -> str:
    code = f" ({_code(run)})" if _code(run) else ""
    return f"was interrupted{code}" if run.status is RunStatus.INTERRUPTED else f"failed{code}"


def _span(span: timedelta) -> str:
    """Days and hours, hours and minutes, or minutes."""
    minutes = max(0, int(span.total_seconds())) // 60
    days, hours = minutes // 1440, minutes // 60 % 24
    if days:
        return f"{days} d {hours} h" if hours else f"{days} d"
    if minutes >= 60:  # noqa: PLR2004
        return f"{hours} h {minutes % 60:02d} min" if minutes % 60 else f"{hours} h"
    return f"{minutes} min" if minutes else f"{int(span.total_seconds())} s"
