"""The instants of one system's way back, and what they come to. Shared by drill and restore."""

from collections.abc import Sequence
from datetime import datetime

from drmgr.errors import DrmgrError
from drmgr.flows.bench import error_json
from drmgr.flows.bringback import data_lost
from drmgr.interfaces import Clock
from drmgr.model import CheckResult, Level, Measure, Outcome, Phase, RecoveryPoint, System, Timeline, Verdict


class Course:
    """``t0`` is the fault, ``started`` the same instant by the monotonic clock, which is never set back: RTO goes by it.

    T1 to T3 equal T0, for nobody has to notice or decide here.
    """

    def __init__(self, clock: Clock, t0: datetime, started: float) -> None:
        self._clock = clock
        self._t0 = t0
        self._started = started
        self._t4: datetime | None = None
        self._t5: datetime | None = None
        self._t6: datetime | None = None
        self._seconds: float | None = None
        self._begun: float | None = None
        self.own_seconds: float | None = None
        """From T4 to T6."""
        self._went_to: datetime | None = None

    def restoring(self) -> None:
        """T4."""
        self._t4, self._begun = self._clock.now(), self._clock.monotonic()

    def went_to(self, instant: datetime | None) -> None:
        """Everything before that instant is back, and not only before the point's own; None changes nothing."""
        self._went_to = instant

    def usable(self) -> None:
        """T5."""
        self._t5 = self._clock.now()

    def goes_on(self, t4: datetime | None, t5: datetime | None) -> None:
        """What an earlier run came to, whose T0 is that of this one."""
        self._t4, self._t5 = t4, t5

    @property
    def t0(self) -> datetime:
        """The fault."""
        return self._t0

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
        self.own_seconds = None if self._begun is None else now - self._begun

    def measures(
        self, system: System, point: RecoveryPoint | None, error: DrmgrError | None
    ) -> tuple[Measure, Measure]:
        """RTO and RPO; nothing is measured of what did not get to its end."""
        objectives = system.objectives
        done = self._t6 is not None and error is None
        lost = data_lost(self._went_to or point.consistent_at, self._t0) if done and point is not None else None
        rto = Measure(objectives.rto.total_seconds(), self._seconds if done else None)
        return rto, Measure(objectives.rpo.total_seconds(), lost)

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
    ) -> Outcome:
        """What became of the system."""
        rto, rpo = self.measures(system, point, error)
        t0, t6 = self._t0, self._t6 if error is None else None
        return Outcome(
            system=system,
            verdict=verdict,
            level=level,
            timeline=Timeline(t0, t0, t0, t0, self._t4, self._t5, t6),
            rto=rto,
            rpo=rpo,
            point=point,
            checks=checks,
            phases=tuple(phases),
            error=None if error is None else error_json(error),
        )
