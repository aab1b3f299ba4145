"""Looks at all systems at once, and at the site itself: for status, alarms and metrics."""

from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import partial
from typing import TYPE_CHECKING

from drmgr.cli.repositories.asked_copies import asked_copies
from drmgr.cli.restoring.background import unfinished
from drmgr.cli.watching.proofs import Proofs, missing_evidence, newest_proofs
from drmgr.errors import DrmgrError, RepositoryError
from drmgr.flows.status import Health, by_trouble, health
from drmgr.flows.watch import unheard
from drmgr.flows.watched import CLOCK_TOLERANCE, DeclaredDrill, Watched
from drmgr.system.cron import Cron
from drmgr.trouble import Problem

if TYPE_CHECKING:
    from drmgr.cli.wiring.wire import Site
    from drmgr.flows.copying import Standing

    AskCopies = Callable[[str], Mapping[str, Standing | DrmgrError]]

AT_THE_SAME_TIME = 4
"""Repositories that are listed beside each other; most of it is waiting for the store."""


@dataclass(frozen=True)
class SiteHealth:
    """``problems`` are those of the site as a whole; ``systems`` come worst first."""

    at: datetime
    systems: tuple[Health, ...]
    problems: tuple[Problem, ...]

    @property
    def ok(self) -> bool:
        """Only when there was something to look at, and nothing wrong with it."""
        return bool(self.systems) and not self.problems and all(each.ok for each in self.systems)

    def all_problems(self) -> list[Problem]:
        return [*self.problems, *(problem for each in self.systems for problem in each.problems)]


def look(opened: "Site", systems: list[str]) -> SiteHealth:
    """The named systems, or all. Raises PreflightError when the catalog cannot be used."""
    names = systems or sorted(opened.loaded.jobs)
    begun = opened.catalog.first_points()
    site, proofs = _site_problems(opened, begun)
    # opened once, before the threads ask for it
    _ = opened.catalog, opened.bucket
    with asked_copies(opened, names) as copies:
        look_at = partial(_look_at, opened, copies=copies)
        with ThreadPoolExecutor(max_workers=AT_THE_SAME_TIME) as pool:
            found = list(pool.map(lambda name: look_at(name, proofs.get(name, Proofs()), begun.get(name)), names))
        held = [each for name in names for each in copies(name).values() if not isinstance(each, DrmgrError)]
    site += _shortened(opened, found, held)
    return SiteHealth(opened.clock.now(), tuple(by_trouble(found)), tuple(site))


def _look_at(opened: "Site", name: str, proofs: Proofs, begun: datetime | None, *, copies: "AskCopies") -> Health:
    from drmgr.config.models import system_of

    job = opened.loaded.job(name)
    drills = tuple(_declared(opened, drill) for drill, each in opened.loaded.drills.items() if name in each.systems)
    watched = Watched(
        system=system_of(job),
        repository=opened.repository(name),
        logged=frozenset(source.name for source in job.sources if opened.has_log(source)),
        drills=drills,
        proofs=proofs.newest,
        passed=proofs.passed,
        drill_within=opened.config.schedule.drill_within,
        rests=lambda: unfinished(opened, name),
        locked=_locked(opened, name),
        swaps=lambda: opened.swap_book.all(name),
        sources=frozenset(source.name for source in job.sources),
        copies=lambda: copies(name),
        begun=begun,
    )
    return health(watched, opened.catalog, opened.clock)


def _locked(opened: "Site", name: str) -> dict[str, timedelta]:
    """The places of this system whose objects are locked, and for how long; copies that hold something of it."""
    from drmgr.cli.repositories.protection import lock_days

    held = [copy for copy in opened.stores if not copy or opened.care_book.memory(copy).seals(name)]
    return {copy: timedelta(days=days) for copy in held if (days := lock_days(opened, copy)) is not None}


def _declared(opened: "Site", name: str) -> DeclaredDrill:
    expression = opened.loaded.drill(name).schedule
    if expression is None:
        return DeclaredDrill(name)
    since = opened.schedule_book.since(f"drill:{name}", expression)
    return DeclaredDrill(name, Cron(expression, opened.zone), since)


def _site_problems(opened: "Site", begun: Mapping[str, datetime]) -> tuple[list[Problem], dict[str, Proofs]]:
    problems = unheard(opened.alarm_book.owed(), [each.name for each in opened.config.notify.to])
    proofs: dict[str, Proofs] = {}
    if not opened.loaded.jobs:
        problems.append(Problem("", "no-job", "no system is declared: there is no job"))
    try:
        lost = missing_evidence(opened)
        if lost:
            more = f" (and {len(lost) - 1} more)" if len(lost) > 1 else ""
            problems.append(Problem("", "evidence-broken", f"evidence: {lost[0]}{more}"))
        proofs = newest_proofs(opened)
    except DrmgrError as error:
        problems.append(Problem("", "evidence-broken", error.message))
    problems += _audit_problems(opened)
    problems += _undeclared(opened, begun)
    if begun:
        problems += _kit_problems(opened)
    problems += _clock_problems(opened)
    return problems, proofs


def _audit_problems(opened: "Site") -> list[Problem]:
    """Whether the audit log is still what was written, by its key and by its head in the catalog."""
    from drmgr.cli.audit import remembered, watch_of

    # before the log: it may only be ahead of what is remembered
    anchors = remembered(opened)
    if not anchors and not opened.audit_file.exists():
        return []
    try:
        verdict = watch_of(opened).look(anchors, opened.clock.now())
    except DrmgrError as error:
        return [Problem("", "audit-broken", f"the audit log cannot be proven: {error.message}")]
    if verdict.at_rest:
        return []
    new = verdict.faults - verdict.accepted
    # what was accepted was found first
    reason = verdict.findings[-1 if verdict.accepted else 0].reason
    more = f" (and {new - 1} more)" if new > 1 else ""
    return [Problem("", "audit-broken", f"audit log: {reason}{more}; see: drmgr audit verify")]


def _undeclared(opened: "Site", begun: Mapping[str, datetime]) -> list[Problem]:
    """Systems that were backed up once, and of which no job tells any more: nobody would miss their backups."""
    expected = {*opened.loaded.jobs, *opened.config.retired}
    return [
        Problem("", "undeclared", f"{system} has recovery points, and no job file names it", system)
        for system in sorted(begun)
        if system not in expected
    ]


def _shortened(opened: "Site", found: "list[Health]", held: "list[Standing]") -> list[Problem]:
    """Evidence that recovery points know, here or in a copy, and that is not there any more."""
    from drmgr.cli.watching.sealed_heads import shortened

    points = [point for each in found for point in each.known]
    points += [sealed.point for each in held for sealed in each.points]
    try:
        return [Problem("", "evidence-broken", f"evidence: {gap.reason}") for gap in shortened(opened, points)[:1]]
    except DrmgrError as error:
        return [Problem("", "evidence-broken", error.message)]


def _kit_problems(opened: "Site") -> list[Problem]:
    """Whether a new host would find its way to what was backed up."""
    from drmgr.flows.recover import newest_kit
    from drmgr.keystore.sealing import MasterSealer

    if opened.config.restic.read_only:
        return []
    try:
        newest = newest_kit(opened.stores[""].shelf, MasterSealer(opened.keystore.master_key()))
    except RepositoryError:
        # each of its repositories says so itself
        return []
    except DrmgrError as error:
        return [Problem("", "kit-missing", error.message)]
    return [Problem("", "kit-missing", f"the newest recovery kit: {text}") for text in newest.problems[:1]]


def _clock_problems(opened: "Site") -> list[Problem]:
    """Whether our clock agrees with the object store's, and with what we ourselves wrote down."""
    ahead = max(opened.schedule_book.beats().values(), default=opened.clock.now()) - opened.clock.now()
    if ahead > CLOCK_TOLERANCE:
        return [
            Problem("", "clock", f"the scheduler ran {ahead.total_seconds():.0f} s in the future: the clock is wrong")
        ]
    if opened.bucket is None:
        return []
    try:
        theirs = opened.bucket.probe()
    except DrmgrError:
        # each of its repositories says so itself
        return []
    offset = 0.0 if theirs is None else abs((datetime.now(UTC) - theirs).total_seconds())
    if offset <= CLOCK_TOLERANCE.total_seconds():
        return []
    return [Problem("", "clock", f"the clock differs by {offset:.0f} s from the object store's")]
