"""One consistent view of a database that mariadb-dump and the facts share.

mariadb-dump opens its own transaction and takes none from outside. So commits are held back for the moment in which both
transactions start (BACKUP STAGE BLOCK_COMMIT: reading and writing go on, only COMMIT waits), and both see the same data:
the facts are exact. The dump is started here and written into a pipe; it waits there until it is stored.
"""

import os
import re
import select
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from urllib.parse import quote

import pymysql

from drmgr.engines.mariadb.accounts import Account, account_facts, read_accounts, write_script
from drmgr.engines.mariadb.connection import Endpoint, Session, connect, plain_reason, run, told
from drmgr.engines.mariadb.facts import Scope, read_groups, read_sequences
from drmgr.engines.mariadb.log import log_identity, read_origin, read_place, recovery_facts
from drmgr.engines.mariadb.structure import read_structure
from drmgr.errors import SourceError
from drmgr.interfaces import Clock, Sink
from drmgr.model import Facts, Json, Stream, Tree
from drmgr.system.command import Command, Process, Runner
from drmgr.system.files import private_directory
from drmgr.system.relay import relay_command

DUMP_PART, GLOBALS_PART = "dump", "globals"
ACCOUNTS_NAME, DATABASE_NAME = "accounts.sql", "database.sql"
LAST_LINE = "-- Dump completed"
"""mariadb-dump writes it at the very end, and only when all went well."""

POLL_SECONDS = 0.005
LOOK_SECONDS = 0.15
START_SECONDS = 20.0

DUMP_OPTIONS = (
    *("--single-transaction", "--skip-lock-tables", "--quick", "--order-by-primary", "--hex-blob", "--no-tablespaces"),
    *("--routines", "--triggers", "--events", "--tz-utc", "--comments", "--skip-dump-date", "--max-allowed-packet=1G"),
)
"""In the order of the primary key and without a date: what did not change is stored once."""

DUMPING = """
SELECT p.id FROM information_schema.processlist p JOIN information_schema.innodb_trx x ON x.trx_mysql_thread_id = p.id
WHERE p.id > %s AND p.user = SUBSTRING_INDEX(USER(), '@', 1) AND COALESCE(p.info, '') NOT LIKE 'START TRANSACTION%%'"""

CONNECTED = """
SELECT p.id FROM information_schema.processlist p
WHERE p.id > %s AND p.user = SUBSTRING_INDEX(USER(), '@', 1)"""

CHANGED_HINT = "run the backup again when nobody changes tables, views or routines"


@dataclass(frozen=True)
class Opened:
    """What was true at the instant of the view: the time, sequences and definitions then, where the binlog stood."""

    consistent_at: datetime
    low: dict[str, int]
    structure: dict[str, Json]
    accounts: tuple[Account, ...]
    origin: dict[str, Json]
    create_database: str
    recovery: dict[str, Json] | None


class MariadbCapture:
    """See interfaces.Capture."""

    frozen = True

    def __init__(
        self, view: Session, database: str, opened: Opened, *, dump: Process, pipe: Path, scope: Scope, clock: Clock
    ) -> None:
        self._view = view
        self._database = database
        self._opened = opened
        self._dump = dump
        self._pipe = pipe
        self._scope = scope
        self._clock = clock

    @property
    def consistent_at(self) -> datetime:
        return self._opened.consistent_at

    def store(self, sink: Sink) -> None:
        filename = f"{quote(self._database, safe='')}.sql"
        try:
            sink.save(Stream(DUMP_PART, relay_command(self._pipe, LAST_LINE), filename))
        except SourceError as failure:
            if self._dump.running():
                raise
            raise SourceError(self._why(), hint=CHANGED_HINT if "1412" in self._tail() else None) from failure
        if self._dump.wait() != 0:
            raise SourceError(self._why())
        folder = self._pipe.parent / GLOBALS_PART
        folder.mkdir(mode=0o700)
        write_script(folder / ACCOUNTS_NAME, self._opened.accounts)
        (folder / DATABASE_NAME).write_text(f"{self._opened.create_database};\n", encoding="utf-8")
        sink.save(Tree(GLOBALS_PART, folder))

    def facts(self) -> Facts:
        started = self._clock.monotonic()
        with told("the facts could not be read"):
            groups = read_groups(self._view, self._database, self._scope, self._opened.low)
        if groups["structure"] != self._opened.structure:
            kinds = [kind for kind, item in groups["structure"].items() if item != self._opened.structure[kind]]
            raise SourceError(f"the database's {' and '.join(kinds)} changed during the backup", hint=CHANGED_HINT)
        groups["accounts"] = account_facts(self._opened.accounts)
        groups["origin"] = self._opened.origin
        if self._opened.recovery is not None:
            groups["recovery"] = self._opened.recovery
        return Facts("mariadb", self.consistent_at, groups, self._clock.monotonic() - started)

    def _tail(self) -> str:
        return self._dump.stderr_tail()

    def _why(self) -> str:
        return f"the database could not be dumped: {dump_reason(self._tail(), self._dump.wait())}"


def dump_reason(stderr: str, code: int) -> str:
    """mariadb-dump's first complaint in our words: its own text may quote values."""
    number = re.search(r"[Ee]rror:? (\d{4})\b|\((\d{4})\)|^\w.*?: (\d{4}):", stderr)
    if number is None:
        return f"mariadb-dump ended with code {code}" if code >= 0 else "mariadb-dump was ended by a signal"
    return plain_reason(int(next(group for group in number.groups() if group)))


@contextmanager
def open_capture(
    endpoint: Endpoint,
    program: Callable[[], Path],
    scope: Scope,
    *,
    runner: Runner,
    clock: Clock,
    runtime: Path,
    logged: bool = False,
) -> Iterator[MariadbCapture]:
    """Opens the view and closes it at the end of the block. Raises SourceError.

    ``logged``: the facts say where in the binary log the view stands, so that a replay can go on from there.
    """
    mariadb_dump = program()
    with ExitStack() as stack:
        view, barrier = (_closed_at_the_end(stack, connect(endpoint)) for _ in range(2))
        folder = stack.enter_context(private_directory(runtime, "mariadb-"))
        database = endpoint.database
        with told("the database could not be opened for a backup"):
            structure = read_structure(view, database)
            accounts = read_accounts(view, database)
            ((_, create),) = run(view, f"SHOW CREATE DATABASE `{database.replace('`', '``')}`")
            newest = max(run(session, "SELECT CONNECTION_ID()")[0][0] for session in (barrier, view))
            argv = (str(mariadb_dump), *endpoint.arguments(), *DUMP_OPTIONS, database)
            with _commits_held(barrier):
                low = read_sequences(view, database)
                ((now,),) = run(barrier, "SELECT UTC_TIMESTAMP(6)")
                run(view, "START TRANSACTION WITH CONSISTENT SNAPSHOT")
                origin = _origin(barrier)
                recovery = recovery_facts(log_identity(barrier), read_place(barrier)) if logged else None
                pipe = folder / "pipe"
                dump, reader = _start(stack, runner, argv, pipe)
                _wait_for_its_view(dump, reader, newest, barrier, clock)
        instant = now.replace(tzinfo=UTC)
        origin["grants_elsewhere"] = sum(account.elsewhere for account in accounts)
        opened = Opened(instant, low, structure, accounts, origin, str(create), recovery)
        yield MariadbCapture(view, database, opened, dump=dump, pipe=pipe, scope=scope, clock=clock)


def _closed_at_the_end(stack: ExitStack, session: Session) -> Session:
    stack.callback(_close, session)
    return session


def _close(session: Session) -> None:
    # the server may be gone, and then there is nothing left to give back
    with suppress(pymysql.Error):
        session.close()


@contextmanager
def _commits_held(barrier: Session) -> Iterator[None]:
    """Nothing is committed on the server inside the block; reading and writing go on. Raises pymysql.Error."""
    run(barrier, "BACKUP STAGE START")
    try:
        run(barrier, "BACKUP STAGE BLOCK_COMMIT")
        yield
    finally:
        # a lost connection has ended the stage as well
        with suppress(pymysql.Error):
            run(barrier, "BACKUP STAGE END")


def _start(stack: ExitStack, runner: Runner, argv: Sequence[str], pipe: Path) -> tuple[Process, int]:
    """The dump, and our own reading end: never read from, it keeps the pipe open until the one who stores it has come."""
    os.mkfifo(pipe, 0o600)
    reader = os.open(pipe, os.O_RDONLY | os.O_NONBLOCK)
    stack.callback(os.close, reader)
    with pipe.open("wb", buffering=0) as writer:
        return stack.enter_context(runner.start(Command(tuple(argv)), stdout=writer)), reader


def _wait_for_its_view(dump: Process, reader: int, newest: int, barrier: Session, clock: Clock) -> None:
    """Returns once the dump, whose session is newer than ``newest``, has its view. Raises SourceError, pymysql.Error.

    The server renews its list of transactions only when nobody has read it for a tenth of a second. So it is looked at
    when the first bytes of the dump are there, and then no more often than that.
    """
    started = looked = clock.monotonic()
    while dump.running():
        clock.sleep(POLL_SECONDS)
        waited = clock.monotonic() - looked
        begun = looked == started and _written(reader)
        if not begun and waited < LOOK_SECONDS:
            continue
        found, looked = run(barrier, DUMPING, newest), clock.monotonic()
        if len(found) > 1:
            raise SourceError(
                "another program logs in with drmgr's account, so the dump cannot be told from it",
                hint="give drmgr an account of its own",
            )
        if found or (_written(reader) and not run(barrier, CONNECTED, newest)):
            # in the second case it has read all and logged off, and only waits for its last bytes to be fetched
            return
        if looked - started > START_SECONDS:
            raise SourceError(
                f"mariadb-dump did not begin to read within {START_SECONDS:.0f} s", hint="is the server overloaded?"
            )
    # a small database may be through already
    if dump.wait() != 0:
        raise SourceError(f"the database could not be dumped: {dump_reason(dump.stderr_tail(), dump.wait())}")


def _written(reader: int) -> bool:
    return bool(select.select([reader], [], [], 0)[0])


def _origin(session: Session) -> dict[str, Json]:
    found = read_origin(session, "exact: facts and dump were opened while commits were held")
    ((found["gtid"],),) = run(session, "SELECT @@gtid_binlog_pos")
    with suppress(pymysql.Error):
        # a right that logical backups can do without
        for file, position, *_ in run(session, "SHOW MASTER STATUS"):
            found["binlog"] = f"{file}:{position}"
    return found
