"""What ``--due`` does: finds what is due, and runs it once, a few at a time, one of each system."""

from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from dataclasses import replace
from datetime import time
from typing import TYPE_CHECKING, TypeVar

from drmgr.errors import LockedError
from drmgr.flows.due import Decision, Planned, Quiet, Standing, decide, in_order
from drmgr.model import Json, RunKind
from drmgr.system.cron import Cron

if TYPE_CHECKING:
    from rich.console import Console

    from drmgr.cli.wiring.wire import Site

T = TypeVar("T")

NO_PLACE = "as many runs as schedule.parallel allows are under way; it begins at a later look"
IN_HAND = "another run of the same system is under way; it begins at a later look"

WITHOUT_SLOT = (RunKind.SHIP,)
"""Shipping logs is light and must not wait behind a backup that takes hours."""


def planned(opened: "Site", *kinds: RunKind) -> list[Planned]:
    """The schedules that jobs and drills declare; all kinds when none is named."""
    found = [*_of_jobs(opened), *_of_drills(opened)]
    return [each for each in found if not kinds or each.kind in kinds]


def _of_jobs(opened: "Site") -> Iterator[Planned]:
    for name, job in sorted(opened.loaded.jobs.items()):
        # a job does not know where its sources lie: at another site they may have no log
        ship = job.schedule.ship if any(map(opened.has_log, job.sources)) else None
        for kind, expression in ((RunKind.BACKUP, job.schedule.backup), (RunKind.SHIP, ship)):
            if expression is not None:
                yield Planned(kind, name, job.tier, (name,), Cron(expression, opened.zone))


def _of_drills(opened: "Site") -> Iterator[Planned]:
    for name, drill in sorted(opened.loaded.drills.items()):
        if drill.schedule is not None:
            tier = min(opened.loaded.job(system).tier for system in drill.systems)
            yield Planned(RunKind.DRILL, name, tier, tuple(sorted(drill.systems)), Cron(drill.schedule, opened.zone))


def quiet_window(opened: "Site") -> Quiet | None:
    """The window in which nothing is made up."""
    declared = opened.config.schedule.quiet
    if declared is None:
        return None
    return Quiet(time.fromisoformat(declared.begin), time.fromisoformat(declared.end))


def decisions(opened: "Site", *kinds: RunKind) -> list[Decision]:
    """How every schedule stands, in the order in which runs are begun."""
    now = opened.clock.now()
    quiet = quiet_window(opened)
    standing = [decide(each, opened.catalog, opened.schedule_book, quiet, now) for each in planned(opened, *kinds)]
    return in_order(standing)


def run_due(opened: "Site", kind: RunKind, act: Callable[[str], T], *, jobs: int = 1) -> tuple[list[T], list[Decision]]:
    """Runs what is due; gives back the results, and what is held up with the reason.

    ``act`` gets the name of a system or drill. What another process has begun meanwhile is left to it.
    """
    opened.schedule_book.beat(kind.value)
    standing = decisions(opened, kind)
    due = [each for each in standing if each.standing is Standing.DUE]
    held = [each for each in standing if each.standing in {Standing.WAITING, Standing.GIVEN_UP}]
    done = [each for of_one in _each(opened, due, act, jobs) for each in of_one]
    left = [each for each in done if isinstance(each, Decision)]
    return [each for each in done if not isinstance(each, Decision)], [*held, *left]


def _each(opened: "Site", due: Sequence[Decision], act: Callable[[str], T], jobs: int) -> list[list[T | Decision]]:
    if jobs == 1 or len(due) < 2:  # noqa: PLR2004
        # in the main thread: that is where a signal arrives
        return [_one(opened, each, act) for each in due]
    with ThreadPoolExecutor(max_workers=jobs) as pool:
        try:
            return list(pool.map(lambda each: _one(opened, each, act), due))
        except BaseException:
            pool.shutdown(wait=False, cancel_futures=True)
            opened.runner.stop_all()
            raise


def _one(opened: "Site", decision: Decision, act: Callable[[str], T]) -> list[T | Decision]:
    """The result; nothing when another process has done it, and why when it has to wait for one: then it stays due."""
    wanted = decision.planned
    group = "ship" if wanted.kind is RunKind.SHIP else "run"
    try:
        with ExitStack() as held:
            # the slot first: of two that look at once one would else have the system and one the slot, and it would not run
            if wanted.kind not in WITHOUT_SLOT and not held.enter_context(slot(opened)):
                return [replace(decision, standing=Standing.WAITING, why=NO_PLACE)]
            for system in wanted.systems:
                held.enter_context(opened.locks.hold(f"due-{group}-{system}"))
            # decided once more behind the lock: the process that held it may have done it
            now = opened.clock.now()
            again = decide(wanted, opened.catalog, opened.schedule_book, quiet_window(opened), now)
            return [act(wanted.name)] if again.standing is Standing.DUE else []
    except LockedError as error:
        if error.run is not None:
            raise
        return [replace(decision, standing=Standing.WAITING, why=IN_HAND)]


@contextmanager
def slot(opened: "Site") -> Iterator[bool]:
    """One of the places for runs at the same time on this host; False when all are taken.

    Runs that a person starts take one too where there is one, and do not wait for it.
    """
    with ExitStack() as held:
        taken = False
        for number in range(opened.config.schedule.parallel):
            try:
                held.enter_context(opened.locks.hold(f"slot-{number + 1}"))
            except LockedError:
                continue
            taken = True
            break
        yield taken


def held_json(held: Sequence[Decision]) -> Json:
    """What is held up, for ``waiting`` in an answer."""
    from drmgr.system.clock import rfc3339

    return [
        {
            "name": each.planned.name,
            "scheduled_at": rfc3339(each.at),
            "until": rfc3339(each.until) if each.until else None,
            "why": each.why,
        }
        for each in held
    ]


def show_held(opened_zone: Json, console: "Console", held: Sequence[Decision]) -> None:
    """The same for people, a line each."""
    from drmgr.cli.output import human_time

    for each in held:
        waits = "" if each.standing is Standing.WAITING else ", not before its next time"
        until = f", not before {human_time(each.until, opened_zone)}" if each.until else waits
        due = human_time(each.at, opened_zone)
        console.print(f"{each.planned.name}: of {due}: {each.why}{until}", markup=False, soft_wrap=True)
