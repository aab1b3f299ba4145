"""One backup of a database with its facts: a full or a differential one, and the log up to the facts' instant."""

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

from drmgr.engines.sqlserver import statements
from drmgr.engines.sqlserver.chain import follows
from drmgr.engines.sqlserver.connection import Endpoint, clock_of, opened, told
from drmgr.engines.sqlserver.facts import MOVING, Groups, Scope, read_groups, settled, utc, version_of
from drmgr.engines.sqlserver.headers import DIFFERENTIAL, FULL, LOG, Header, read_header
from drmgr.engines.sqlserver.storing import store_backups
from drmgr.engines.sqlserver.take import ENDINGS, Options, left_by, prefix_of, remove_file, take, verify
from drmgr.errors import SourceError
from drmgr.interfaces import Clock, Sink
from drmgr.model import Facts, Json
from drmgr.system.mssql import Complaint, Row, Session

POINT, SHIPPED = "point", "log"
SIMPLE = "SIMPLE"
TRIES = 5


@dataclass(frozen=True)
class Plan:
    """How a source is backed up. ``full_every`` None: always in full; else differentials lie in between."""

    label: str
    endpoint: Endpoint
    options: Options
    scope: Scope
    full_every: timedelta | None
    runtime: Path
    """A private folder (0700) for access files."""

    def prefix(self, use: str) -> str:
        """How the files of that use begin in the shared place: ``point`` or ``log``."""
        return f"{prefix_of(self.label, self.endpoint)}-{use}"


@dataclass(frozen=True)
class Taken:
    """The backups of one point, and when its instant was: not before ``earliest``, not after ``latest``."""

    headers: tuple[Header, ...]
    groups: Groups
    earliest: datetime
    latest: datetime
    seconds: float


class SqlServerCapture:
    """See interfaces.Capture."""

    def __init__(self, plan: Plan, taken: Taken) -> None:
        self._plan = plan
        self._taken = taken

    @property
    def consistent_at(self) -> datetime:
        return self._taken.earliest

    @property
    def frozen(self) -> bool:
        return True

    def store(self, sink: Sink) -> None:
        store_backups(sink, self._plan.endpoint.access, self._taken.headers, self._plan.runtime)
        moving = len(self._taken.groups[MOVING])
        if moving:
            sink.note(f"{moving} tables changed around the backup's instant: nothing is known of their content then")

    def facts(self) -> Facts:
        # taken_at is the latest that the instant can be: rows until then may be in the backup
        return Facts("sqlserver", self._taken.latest, self._taken.groups, self._taken.seconds)


@contextmanager
def open_capture(plan: Plan, clock: Clock) -> Iterator[SqlServerCapture]:
    """Takes the backups at once; at the end of the block those are removed that no later one builds upon."""
    with ExitStack() as stack:
        yield SqlServerCapture(plan, _take_all(plan, clock, stack))


def _take_all(plan: Plan, clock: Clock, stack: ExitStack) -> Taken:
    with opened(plan.endpoint) as session, told("the database could not be looked at"):
        database, version = _database(session, plan), version_of(session.row(statements.SERVER))
        base = _standing_base(session, plan, database)
    _remove_leftovers(plan, base)
    # with logs the instant is that of a short log backup at the end, else of the backup itself
    with_log = _log_can_follow(plan, database)
    main = _main(plan, database, base, stack) if with_log else ()
    started = clock.monotonic()
    before, earliest = _look(plan, database, version)
    if not main:
        main = _main(plan, database, base, stack)
    if with_log:
        main = _with_log(plan, main, stack)
    after, latest = _look(plan, database, version, first_clock=True)
    if with_log:
        verify(plan.endpoint, main[-1])
    groups = settled(before, after)
    _describe(groups, plan, database, main, earliest=earliest, latest=latest, with_log=with_log)
    return Taken(main, groups, earliest, latest, clock.monotonic() - started)


def _with_log(plan: Plan, main: tuple[Header, ...], stack: ExitStack) -> tuple[Header, ...]:
    """The backups with the log up to now behind them, proven to follow one another. Raises SourceError.

    Somebody, or drmgr ship, may have taken a log since: then ours begins too late. A differential closes the gap.
    """
    for _ in range(TRIES):
        log = take(
            plan.endpoint, LOG, plan.prefix(POINT), Options(plan.options.compression, copy_only=True), verified=False
        )
        _removed_at_the_end(stack, plan, log)
        if follows(main[-1], log):
            return (*main, log)
        if plan.options.copy_only:
            break
        differential = take(plan.endpoint, DIFFERENTIAL, plan.prefix(POINT), Options(plan.options.compression))
        _removed_at_the_end(stack, plan, differential)
        if differential.base != main[0].set_id:
            raise SourceError(
                "somebody else took a full backup meanwhile",
                hint="run the backup again, and let only one program take them",
            )
        main = (main[0], differential)
    raise SourceError(
        "log backups are taken so often that none of ours follows the full backup",
        hint="run the backup again at another time; see which log backups are taken by whom in msdb",
    )


def _look(plan: Plan, database: Row, version: int, *, first_clock: bool = False) -> tuple[Groups, datetime]:
    """The facts, and the server's clock nearest to the backup: read last before it and first after it."""
    with opened(plan.endpoint) as session, told("the facts could not be read"):
        now = clock_of(session)["utc_now"]
        groups = read_groups(session, database, plan.scope, version)
        return groups, utc(now if first_clock else clock_of(session)["utc_now"])


def has_log(database: Row) -> bool:
    return bool(database["recovery_model_desc"] != SIMPLE)


def _database(session: Session, plan: Plan) -> Row:
    found = session.rows(statements.database(plan.endpoint.database))
    if not found:
        raise SourceError(f"there is no database {plan.endpoint.database}")
    return found[0]


def _log_can_follow(plan: Plan, database: Row) -> bool:
    """Not in the simple model, not on a secondary replica, and not after copies alone: those begin no log chain."""
    begun = database["last_log_backup_lsn"] is not None or not plan.options.copy_only
    return has_log(database) and database["is_primary"] != 0 and begun


def _main(plan: Plan, database: Row, base: Header | None, stack: ExitStack) -> tuple[Header, ...]:
    """A differential on its base, or a full backup when there is none that it builds upon."""
    endpoint = plan.endpoint
    if base is not None:
        differential = take(endpoint, DIFFERENTIAL, plan.prefix(POINT), Options(plan.options.compression))
        _removed_at_the_end(stack, plan, differential)
        if differential.base == base.set_id:
            # it has lain there since, and the point is worth no more than its base
            verify(endpoint, base)
            return base, differential
    # on a secondary replica only copies can be taken
    copy_only = plan.options.copy_only or database["is_primary"] == 0
    full = take(endpoint, FULL, plan.prefix(POINT), Options(plan.options.compression, copy_only))
    if plan.full_every is None or copy_only:
        _removed_at_the_end(stack, plan, full)
    else:
        # the next differentials build upon this one, and no more upon those before it
        stack.callback(_remove_leftovers, plan, full)
    return (full,)


def _standing_base(session: Session, plan: Plan, database: Row) -> Header | None:
    """The full backup of ours that still lies in the shared place, if a differential may build upon it now."""
    if plan.full_every is None or plan.options.copy_only or database["is_primary"] == 0:
        return None
    fulls = _fulls(plan)
    if not fulls:
        return None
    try:
        header = read_header(session, plan.endpoint.access.share, fulls[-1])
    except (SourceError, Complaint):
        # what cannot be read is no base: a new full backup is made
        return None
    now: datetime = clock_of(session)["utc_now"]
    old = utc(now) - header.started.astimezone(UTC) >= plan.full_every
    same = (header.family, header.fork) == (_guid(database, "family_guid"), _guid(database, "recovery_fork_guid"))
    return header if header.sound and same and not old and not header.copy_only else None


def _remove_leftovers(plan: Plan, base: Header | None) -> None:
    """What a killed backup of this source left behind. Only one runs at a time, under the system's lock."""
    left = left_by(plan.endpoint, plan.prefix(POINT))
    for name in (*left.files, *left.halves):
        if base is None or name != base.file:
            remove_file(plan.endpoint, name)


def _guid(database: Row, name: str) -> str:
    return str(database[name] or "").lower()


def _fulls(plan: Plan) -> list[str]:
    files = left_by(plan.endpoint, plan.prefix(POINT)).files
    return [name for name in files if name.endswith(f".{ENDINGS[FULL]}")]


def _removed_at_the_end(stack: ExitStack, plan: Plan, header: Header) -> None:
    stack.callback(remove_file, plan.endpoint, header.file)


def _describe(
    groups: Groups,
    plan: Plan,
    database: Row,
    headers: tuple[Header, ...],
    *,
    earliest: datetime,
    latest: datetime,
    with_log: bool,
) -> None:
    """Adds what is of the backup and not of the data."""
    last = headers[-1]
    groups["instant"] = {
        "not_before": earliest.isoformat(),
        "not_after": latest.isoformat(),
        "seconds": round((latest - earliest).total_seconds(), 3),
    }
    origin: dict[str, Json] = {
        "database": plan.endpoint.database,
        "recovery_model": database["recovery_model_desc"],
        "version": last.version,
        "backups": [header.kind for header in headers],
    }
    groups["origin"] = origin
    if with_log:
        groups["recovery"] = {
            "timeline": 1,
            "system_identifier": chain_name(last.family, last.fork),
            "last_log": last.last - 1,
            "position": last.last - 1,
            "restore_point": "",
        }


def chain_name(family: str, fork: str) -> str:
    """Tells one database's log from another's, and from its own before it was restored to an earlier time."""
    return f"{family}:{fork}"
