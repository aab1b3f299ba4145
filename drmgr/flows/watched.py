"""What is known of one system before it is judged how it stands."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from drmgr.errors import DrmgrError
from drmgr.flows.acceptance import doubted
from drmgr.flows.copying import Standing
from drmgr.flows.expire import Doubts
from drmgr.interfaces import Repository
from drmgr.model import Measure, Rest, Run, RunStatus, Swap, System
from drmgr.system.cron import Cron

CLOCK_TOLERANCE = timedelta(minutes=1)
"""What lies further ahead of our clock than this was written by another clock, or ours was set back."""

DRILL_GRACE = timedelta(days=1)
"""How long after its time a scheduled drill may still be played."""


@dataclass(frozen=True)
class DrillProof:
    """What the newest evidence of one drill from one place says of one system; ``broken``: why it cannot be believed.

    ``place`` is the copy that it was played from, empty for the store itself.
    """

    drill: str
    at: datetime
    verdict: str
    rto: Measure | None = None
    broken: str = ""
    place: str = ""
    level: int = 0

    @property
    def passed(self) -> bool:
        """Whether it proves that the system comes back."""
        return self.verdict == "passed" and not self.broken


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
    long. ``logged`` are the sources whose logs are shipped. ``proofs`` are the newest of each drill from each place, also
    of drills that are not declared any more; ``passed`` is when one passed last within ``drill_within``, a later failure
    or not. ``sources`` are those that the job names. ``copies`` asks each copy: what it
    holds, or why it cannot be asked. ``begun`` is when its first point was made that is remembered, expired or not.
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
    sources: frozenset[str] = frozenset()
    copies: Callable[[], Mapping[str, Standing | DrmgrError]] = dict
    begun: datetime | None = None
    passed: datetime | None = None


def code_of(run: Run) -> str:
    """The code of a run's error; empty for none."""
    return str(run.error.get("code", "")) if run.error else ""


def ended(run: Run) -> str:
    """How a run ended that did not end well, in words."""
    code = f" ({code_of(run)})" if code_of(run) else ""
    return f"was interrupted{code}" if run.status is RunStatus.INTERRUPTED else f"failed{code}"


def span(of: timedelta) -> str:
    """Days and hours, hours and minutes, or minutes and seconds."""
    minutes, seconds = divmod(max(0, int(of.total_seconds())), 60)
    days, hours = minutes // 1440, minutes // 60 % 24
    if days:
        return f"{days} d {hours} h" if hours else f"{days} d"
    if minutes >= 60:  # noqa: PLR2004
        return f"{hours} h {minutes % 60:02d} min" if minutes % 60 else f"{hours} h"
    if minutes:
        return f"{minutes} min {seconds:02d} s" if seconds else f"{minutes} min"
    return f"{seconds} s"
