"""The instants of one system's way back, and what they come to. Shared by drill and restore."""

from collections.abc import Sequence
from datetime import datetime

from drmgr.errors import DrmgrError
from drmgr.flows.bench import error_json
from drmgr.flows.bringback import data_lost
from drmgr.interfaces import Clock
from drmgr.model import (
    CheckResult,
    Level,
    Measure,
    OccasionKind,
    Origin,
    Outcome,
    OwnTimes,
    Phase,
    RecoveryPoint,
    System,
    Timeline,
    Told,
    Verdict,
)

UNKNOWN = Origin()


def told_in(occasion: OccasionKind, told: Told) -> Told | None:
    """What ``Course`` is told: in an incident what people say, and nothing else; None for what declares its own fault."""
    return told if occasion is OccasionKind.INCIDENT else None


class Course:
    """``begun`` is when the command began, ``started`` the same instant by the monotonic clock, which is never set back.

    ``told`` is what people say of an incident: T0 to T3 are theirs then, and what they do not say stays unknown. Without
    it the fault is declared by the command, T0 to T3 are its beginning, for nobody has to notice or decide.
    """

    def __init__(self, clock: Clock, begun: datetime, started: float, told: Told | None = None) -> None:
        self._clock = clock
        self._begun = begun
        self._told = told or Told(begun, begun, begun, begun)
        self._started = started
        self._t4: datetime | None = None
        self._t5: datetime | None = None
        self._t6: datetime | None = None
        self._seconds: float | None = None
        self._own_start: float | None = None
        self.own_seconds: float | None = None
        """From T4 to T6."""
        self._went_to: datetime | None = None

    def restoring(self) -> None:
        """T4."""
        self._t4, self._own_start = self._clock.now(), self._clock.monotonic()

    def went_to(self, instant: datetime | None) -> None:
        """Everything before that instant is back, and not only before the point's own; None changes nothing."""
        self._went_to = instant

    def usable(self) -> None:
        """T5."""
        self._t5 = self._clock.now()

    def goes_on(self, t4: datetime | None, t5: datetime | None) -> None:
        """What an earlier run came to, whose beginning is that of this one."""
        self._t4, self._t5 = t4, t5

    def was(self, earlier: OwnTimes) -> None:
        """All of it was over in an earlier run, whose beginning is that of this one; T6 must be known."""
        assert earlier.t6 is not None
        self._t4, self._t5, self._t6 = earlier.t4, earlier.t5, earlier.t6
        self._seconds = (earlier.t6 - self._begun).total_seconds()

    @property
    def so_far(self) -> OwnTimes:
        """What was measured up to now."""
        return OwnTimes(self._t4, self._t5, self._t6)

    @property
    def begun(self) -> datetime:
        """When the command began, or the earlier run that it goes on with."""
        return self._begun

    @property
    def restored_from(self) -> datetime | None:
        """T4."""
        return self._t4

    @property
    def usable_at(self) -> datetime | None:
        """T5."""
        return self._t5

    def verified(self) -> None:
        """T6: the time that counts ends here."""
        now = self._clock.monotonic()
        self._t6, self._seconds = self._clock.now(), now - self._started
        self.own_seconds = None if self._own_start is None else now - self._own_start

    def measures(
        self, system: System, point: RecoveryPoint | None, error: DrmgrError | None
    ) -> tuple[Measure, Measure]:
        """RTO and RPO, from the fault when it is known, else from the command's beginning.

        Nothing is measured of what did not get to its end.
        """
        objectives = system.objectives
        took, lost = None, None
        if self._seconds is not None and error is None:
            fault = self._told.fault or self._begun
            took = self._seconds + (self._begun - fault).total_seconds()
            lost = None if point is None else self._lost(self._went_to or point.consistent_at, fault)
        return Measure(objectives.rto.total_seconds(), took), Measure(objectives.rpo.total_seconds(), lost)

    def _lost(self, brought_back: datetime, fault: datetime) -> float | None:
        if data_lost(brought_back, self._begun) is None:
            # from the future: the clocks disagree, and nothing can be said
            return None
        if self._line(None, brought_back).after_fault:
            return None
        return max(0.0, (fault - brought_back).total_seconds())

    def _line(self, error: DrmgrError | None, brought_back: datetime | None) -> Timeline:
        told = self._told
        return Timeline(
            t0=told.fault,
            t1=told.noticed,
            t2=told.accepted,
            t3=told.decided,
            t4=self._t4,
            t5=self._t5,
            t6=self._t6 if error is None else None,
            begun=self._begun,
            brought_back=brought_back,
        )

    def outcome(
        self,
        system: System,
        *,
        point: RecoveryPoint | None,
        checks: tuple[CheckResult, ...],
        phases: Sequence[Phase],
        level: Level,
        verdict: Verdict,
        error: DrmgrError | None,
        origin: Origin = UNKNOWN,
    ) -> Outcome:
        """What became of the system."""
        rto, rpo = self.measures(system, point, error)
        back = self._went_to or (point.consistent_at if point else None)
        return Outcome(
            system=system,
            verdict=verdict,
            level=level,
            timeline=self._line(error, back),
            rto=rto,
            rpo=rpo,
            point=point,
            checks=checks,
            phases=tuple(phases),
            error=None if error is None else error_json(error),
            origin=origin,
        )
