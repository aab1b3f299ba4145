"""What all physical backups share: files first, then a view at a restore point, and the log that leads up to it."""

from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import Future, ThreadPoolExecutor, wait
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any, LiteralString

import psycopg
from ulid import ULID

from drmgr.engines.postgres.capture import lock_tables
from drmgr.engines.postgres.cluster import Origin
from drmgr.engines.postgres.connection import Endpoint, Session, connect, pin, told
from drmgr.engines.postgres.engine import PHYSICAL
from drmgr.engines.postgres.facts import Groups, Scope, read_groups
from drmgr.engines.postgres.instant import Bracket, Instant, find_instant
from drmgr.engines.postgres.wal import WalReader, segment_name
from drmgr.errors import Interrupted, SourceError
from drmgr.interfaces import Clock, Sink
from drmgr.model import Facts, Json, Tree

WAL_PART = "wal"
AGAIN_SECONDS = 0.2

_SLOT: LiteralString = "SELECT lsn::text FROM pg_catalog.pg_create_physical_replication_slot(%s, true, true)"
_SLOT_STATE: LiteralString = "SELECT wal_status FROM pg_catalog.pg_replication_slots WHERE slot_name = %s"
_SWITCH: LiteralString = "SELECT pg_catalog.pg_switch_wal()::text"
_TIMELINE: LiteralString = "SELECT timeline_id FROM pg_catalog.pg_control_checkpoint()"
# assigned, and ended at once: every transaction that began before it has a smaller number
_NUMBER: LiteralString = "SELECT pg_catalog.pg_current_xact_id()::text"


def _no_view() -> SourceError:
    return SourceError("a physical backup has no view before its files are stored")


@contextmanager
def backup_sessions(endpoint: Endpoint) -> Iterator[tuple[Session, Session]]:
    """One that holds the backup, another for the view. What the server keeps for the first (slot, backup) ends with it."""
    with ExitStack() as stack:
        sessions = []
        for autocommit in (True, False):
            session = connect(endpoint, autocommit=autocommit)
            stack.callback(_close, session)
            sessions.append(session)
        with told("the database could not be opened for a backup"):
            for session in sessions:
                pin(session)
        yield sessions[0], sessions[1]


def _close(session: Session) -> None:
    with suppress(psycopg.Error):
        session.close()


@dataclass(frozen=True)
class Log:
    """The log from the start of a backup on: ``folder`` holds its segments up to the last ``flush``.

    ``older`` is a transaction's number: what was logged before ``start`` has a smaller one.
    """

    folder: Path
    timeline: int
    start: int
    older: int
    flush: Callable[[], None]


class ReplayedCapture:
    """See interfaces.Capture. The files are read first; the view is opened after them, at a named restore point.

    From then on the facts are read beside what is still to be stored: the view stands, and the log goes as far as it.
    ``endpoint`` is where more sessions may be opened for them.
    """

    frozen = False

    def __init__(
        self, session: Session, view: Session, scope: Scope, *, endpoint: Endpoint, reader: WalReader, clock: Clock
    ) -> None:
        self._session = session
        self._view = view
        self._endpoint = endpoint
        self._scope = scope
        self._reader = reader
        self._clock = clock
        self._slot = f"drmgr_backup_{ULID()}".lower()
        self._instant: Instant | None = None
        self._beside = ThreadPoolExecutor(max_workers=2)
        self._facts: Future[tuple[Groups, float]] | None = None
        self._recovery: Mapping[str, Json] = {}

    @property
    def consistent_at(self) -> datetime:
        return self._found().at

    @contextmanager
    def at_work(self) -> Iterator[None]:
        """The time in which it has threads of its own; on an error nobody waits for answers that nobody wants."""
        with self._beside:
            try:
                yield
            except BaseException as error:
                if isinstance(error, Interrupted):
                    # it came to this thread alone
                    self._reader.runner.stop_all()
                self._give_up()
                raise

    def facts(self) -> Facts:
        if self._facts is None:
            raise _no_view()
        groups, seconds = self._facts.result()
        return Facts(PHYSICAL, self._found().at, {**groups, "recovery": dict(self._recovery)}, seconds)

    def _read_facts(self, instant: Instant) -> tuple[Groups, float]:
        """In a thread of its own; whoever asks for the facts gets its error."""
        started = self._clock.monotonic()
        groups = read_groups(self._view, self._scope, instant.sequences, endpoint=self._endpoint)
        return groups, self._clock.monotonic() - started

    def _give_up(self) -> None:
        while self._facts is not None and not self._facts.done():
            # again and again: a cancel that comes between two questions ends none
            with suppress(psycopg.Error):
                self._view.cancel()
            wait((self._facts,), timeout=AGAIN_SECONDS)

    def _found(self) -> Instant:
        if self._instant is None:
            raise _no_view()
        return self._instant

    def _hold_log(self) -> str:
        """From here on the server keeps its log until this session ends; gives the position that it keeps it from."""
        return self._one(_SLOT, self._slot)

    def _timeline(self) -> int:
        return int(self._one(_TIMELINE))

    def _older(self) -> int:
        return int(self._one(_NUMBER))

    def _find(self, log: Log) -> None:
        """Opens the view at an instant that the log knows as well, and begins to read the facts. Raises SourceError."""
        self._instant = find_instant(
            Bracket(
                view=self._view,
                marker=self._session,
                open_view=self._open_view,
                flush=log.flush,
                reader=self._reader,
                log=log.folder,
                timeline=log.timeline,
                since=log.start,
                older=log.older,
                clock=self._clock,
            )
        )
        self._facts = self._beside.submit(self._read_facts, self._instant)

    def _open_view(self) -> None:
        self._view.rollback()
        self._view.isolation_level = psycopg.IsolationLevel.REPEATABLE_READ
        self._view.read_only = True
        lock_tables(self._view)

    def _switch(self) -> str:
        """Ends the present segment; all before it is on disk then. Gives where it ended."""
        with told("the server's log could not be switched"):
            return self._one(_SWITCH)

    def _store_log(self, sink: Sink, log: Log, size: int, *small: Tree) -> int:
        """The segments from the start of the backup up to the restore point; gives the number of the last one.

        What is ``small`` is stored beside them.
        """
        first, last = log.start // size, self._found().position // size
        names = tuple(segment_name(log.timeline, number, size) for number in range(first, last + 1))
        part, *_ = sink.save_together(Tree(WAL_PART, log.folder, only=names), *small)
        with told("the replication slot could not be looked at"):
            state = self._one(_SLOT_STATE, self._slot)
        # read only after they were stored: until here the slot kept each of them from being reused
        if state == "lost":
            raise SourceError(
                "the server threw log away that the backup needed",
                hint="raise max_slot_wal_keep_size, or back up at a quieter time",
            )
        if part.files != len(names) or part.bytes != len(names) * size:
            raise SourceError(f"{len(names)} segments of the log were to be stored, and {part.files} were")
        return last

    def _describe(self, origin: Origin, log: Log, last: int, manifest: str) -> None:
        """Notes what a restore must know; ``manifest`` names the list of files that it is proven by."""
        instant = self._found()
        self._recovery = {
            "system_identifier": origin.identifier,
            "timeline": log.timeline,
            "restore_point": instant.name,
            "position": instant.position,
            "last_log": last,
            "tries": instant.tries,
            "database": self._view.info.dbname,
            "admin": origin.admin,
            "preload_libraries": origin.preload_libraries,
            "manifest": manifest,
        }

    def _one(self, query: LiteralString, *values: str) -> str:
        return str(self._row(query, *values)[0])

    def _row(self, query: LiteralString, *values: str) -> tuple[Any, ...]:
        row = self._session.execute(query, values).fetchone()
        if row is None:
            raise SourceError("the server did not answer")
        return row
