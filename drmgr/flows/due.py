"""Which scheduled runs are due. A run missed while the host was off is made up once, and never in the quiet window."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, time, timedelta
from enum import StrEnum
from itertools import pairwise

from drmgr.interfaces import Catalog
from drmgr.model import Run, RunKind, RunStatus
from drmgr.system.cron import Cron
from drmgr.trouble import ScheduleBook

ON_TIME = timedelta(minutes=15)
"""A run begun this soon after its time is no catch-up, so the quiet window does not concern it."""

ATTEMPTS = 3
"""How often one time of a schedule is tried before the next one has to come."""

FIRST_PAUSE = timedelta(minutes=10)
"""The pause after a failed attempt; it doubles."""

LONGEST_RUN = timedelta(days=2)
"""A run that is open for longer is not waited for."""


LOOKED_AHEAD = 400
"""How many times to come of each schedule are looked at for pauses that are too long."""


class Standing(StrEnum):
    """How a schedule stands. ``new``: none of its times has come since it was declared."""

    NEW = "new"
    DONE = "done"
    RUNNING = "running"
    WAITING = "waiting"
    GIVEN_UP = "given-up"
    DUE = "due"


@dataclass(frozen=True)
class Planned:
    """One declared schedule: of a system's backup or log shipping, or of a drill."""

    kind: RunKind
    name: str
    tier: int
    systems: tuple[str, ...]
    cron: Cron

    @property
    def key(self) -> str:
        return f"{self.kind.value}:{self.name}"


@dataclass(frozen=True)
class Quiet:
    """A daily window in local time; it spans midnight when ``end`` is earlier than ``begin``."""

    begin: time
    end: time

    def ends_after(self, now: datetime, cron: Cron) -> datetime | None:
        """When the window that ``now`` lies in ends; None outside of it."""
        local = now.astimezone(cron.zone)
        clock = local.time().replace(tzinfo=None)
        over_midnight = self.end < self.begin
        inside = (clock >= self.begin or clock < self.end) if over_midnight else self.begin <= clock < self.end
        if not inside:
            return None
        day = local.date() + timedelta(days=1) if over_midnight and clock >= self.begin else local.date()
        return datetime.combine(day, self.end, tzinfo=cron.zone)


@dataclass(frozen=True)
class Decision:
    """``at`` is the time of the schedule that this is about; ``until`` is when a waiting one may begin."""

    planned: Planned
    standing: Standing
    at: datetime
    until: datetime | None = None
    why: str = ""


def decide(planned: Planned, catalog: Catalog, book: ScheduleBook, quiet: Quiet | None, now: datetime) -> Decision:
    """How the schedule stands at ``now``. Only its latest time counts: three missed nights are made up by one run.

    A schedule that is seen for the first time is noted, so that its next time counts.
    """
    book.since(planned.key, planned.cron.expression)
    return look(planned, catalog, book, quiet, now)


def look(planned: Planned, catalog: Catalog, book: ScheduleBook, quiet: Quiet | None, now: datetime) -> Decision:
    """As ``decide``, without a note."""
    at = planned.cron.latest(now)
    since = book.known_since(planned.key, planned.cron.expression)
    if since is None or at < since:
        return Decision(planned, Standing.NEW, at)
    # runs that lie ahead were recorded by a clock that was wrong; they prove nothing about this time
    runs = [run for run in catalog.runs(planned.name, planned.kind, since=at, until=now) if not _found_locked(run)]
    if any(_settled(run) for run in runs):
        return Decision(planned, Standing.DONE, at)
    if _running(planned, catalog, now):
        return Decision(planned, Standing.RUNNING, at)
    if len(runs) >= ATTEMPTS:
        return Decision(planned, Standing.GIVEN_UP, at, why=f"failed {len(runs)} times")
    retry = _retry_at(runs)
    if retry is not None and now < retry:
        return Decision(planned, Standing.WAITING, at, retry, "tried again after a failure")
    if quiet is not None and now - at > ON_TIME:
        opens = quiet.ends_after(now, planned.cron)
        if opens is not None:
            return Decision(planned, Standing.WAITING, at, opens, "missed; made up after the quiet window")
    return Decision(planned, Standing.DUE, at)


def in_order(decisions: Sequence[Decision]) -> list[Decision]:
    """By tier; within a tier the one that has waited longest first."""
    return sorted(decisions, key=lambda each: (each.planned.tier, each.at, each.planned.name))


def _settled(run: Run) -> bool:
    """Whether the run did what its time asked for. A drill that proved a backup bad has been played."""
    if run.status in {RunStatus.OK, RunStatus.INCOMPLETE}:
        return True
    return run.kind is RunKind.DRILL and run.detail.get("verdict") in {"passed", "failed"}


def _found_locked(run: Run) -> bool:
    return run.error is not None and run.error.get("code") == "locked"


def _running(planned: Planned, catalog: Catalog, now: datetime) -> bool:
    begun = catalog.runs(planned.name, planned.kind, since=now - LONGEST_RUN, until=now)
    return any(run.status is RunStatus.RUNNING for run in begun)


def _retry_at(runs: Sequence[Run]) -> datetime | None:
    """When a failed attempt may be tried again. One that was interrupted, as by a power cut, at once."""
    if not runs or runs[0].status is RunStatus.INTERRUPTED:
        return None
    return (runs[0].finished_at or runs[0].started_at) + FIRST_PAUSE * (1 << (len(runs) - 1))


def promised_too_much(planned: Sequence[Planned], rpo: timedelta, now: datetime) -> timedelta | None:
    """The longest pause between a system's backups or shipments in the next days, when the RPO is no longer than it.

    As long is too long: the next one takes its time, and until it is done the newest data are older than promised.
    """
    kinds = (RunKind.BACKUP, RunKind.SHIP)
    lists = [each.cron.following(now, LOOKED_AHEAD) for each in planned if each.kind in kinds]
    # past the end of the shortest list its runs would be missed, and a pause be seen that is none
    end = min((times[-1] for times in lists), default=now)
    times = sorted(at for each in lists for at in each if at <= end)
    gaps = [later - earlier for earlier, later in pairwise(times)]
    longest = max(gaps, default=timedelta(0))
    return longest if longest >= rpo else None
