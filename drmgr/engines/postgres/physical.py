"""PostgreSQL, physical: the server's own files, read where they lie, and the log that makes them whole."""

from collections.abc import Iterator, Mapping
from contextlib import AbstractContextManager, ExitStack, contextmanager, suppress
from dataclasses import dataclass, replace
from datetime import datetime
from pathlib import Path
from typing import Any, LiteralString

import psycopg
from ulid import ULID

from drmgr.engines.postgres.capture import lock_tables
from drmgr.engines.postgres.cluster import Cluster, control, look_at, read_tablespaces
from drmgr.engines.postgres.connection import Session, connect, pin, told
from drmgr.engines.postgres.engine import LABEL_PART, PHYSICAL, PostgresEngine
from drmgr.engines.postgres.facts import Scope, read_groups
from drmgr.engines.postgres.instant import Bracket, Instant, find_instant
from drmgr.engines.postgres.preflight import check_server
from drmgr.engines.postgres.store import MANIFEST, Files, refuse_another, store_files
from drmgr.engines.postgres.tools import find_exact
from drmgr.engines.postgres.wal import WalReader, parse_lsn, segment_name
from drmgr.errors import PreflightError, SourceError
from drmgr.interfaces import Clock, Sink
from drmgr.model import Facts, Json, Tree
from drmgr.system.command import Runner
from drmgr.system.files import private_directory, write_durably

WAL_PART = "wal"

_SLOT: LiteralString = "SELECT lsn::text FROM pg_catalog.pg_create_physical_replication_slot(%s, true, true)"
_SLOT_STATE: LiteralString = "SELECT wal_status FROM pg_catalog.pg_replication_slots WHERE slot_name = %s"
_START: LiteralString = "SELECT pg_catalog.pg_backup_start(%s, true)::text"
_STOP: LiteralString = "SELECT lsn::text, labelfile, spcmapfile FROM pg_catalog.pg_backup_stop(false)"
_SWITCH: LiteralString = "SELECT pg_catalog.pg_switch_wal()::text"
_TIMELINE: LiteralString = "SELECT timeline_id FROM pg_catalog.pg_control_checkpoint()"


@dataclass(frozen=True)
class _Tools:
    cluster: Cluster
    reader: WalReader
    runtime: Path
    clock: Clock
    runner: Runner
    pg_controldata: Path
    expected: str | None = None

    def refuse_a_copy(self, start: int) -> None:
        """The start of a backup is a checkpoint, and it must show in these very files: a copy has the same identifier."""
        found = control(self.runner, self.pg_controldata, self.cluster.directory)
        if parse_lsn(found["Latest checkpoint's REDO location"]) < start:
            raise SourceError(
                f"{self.cluster.directory} is not where the server works: the start of the backup does not show in it",
                hint="does the server run in a container? name the directory as this host sees it",
            )


class PhysicalPostgresEngine(PostgresEngine):
    """See interfaces.SqlEngine. ``data_directory`` is the server's own, on this host.

    ``identifier`` is the system identifier that is expected although the repository holds another cluster's backups.
    """

    name = PHYSICAL

    def __init__(
        self, source: str, connection: Any, *, data_directory: Path, identifier: str | None = None, **options: Any
    ) -> None:
        super().__init__(source, connection, **options)
        self._identifier = identifier
        self._data_directory = data_directory

    def preflight(self) -> None:
        with connect(self._own(), PreflightError) as session:
            check_server(session, self._scope.newest)
            self._tools(session)

    def takes_passwords(self) -> bool:
        """They lie in the files."""
        return True

    def capture(self) -> "AbstractContextManager[PhysicalCapture]":  # type: ignore[override]
        return self._capture()

    @contextmanager
    def _capture(self) -> "Iterator[PhysicalCapture]":
        own = self._own()
        session = connect(own, autocommit=True)
        view = connect(own)
        try:
            with told("the database could not be opened for a backup"):
                pin(session)
                pin(view)
            tools = self._tools(session)
            with ExitStack() as stack:
                folder = stack.enter_context(private_directory(tools.runtime, "label-"))
                yield PhysicalCapture(session, view, tools, folder, replace(self._scope, replayed=True))
        finally:
            for each in (session, view):
                # an unfinished backup, and the slot, end with their session
                with suppress(psycopg.Error):
                    each.close()

    def _tools(self, session: Session) -> _Tools:
        major, binaries = session.info.server_version // 10000, self._connection.binaries
        controldata, waldump = (
            find_exact(self._runner, name, major, binaries) for name in ("pg_controldata", "pg_waldump")
        )
        cluster = look_at(session, self._data_directory, self._runner, controldata)
        reader = WalReader(self._runner, waldump)
        return _Tools(cluster, reader, self._runtime, self._clock, self._runner, controldata, self._identifier)


class PhysicalCapture:
    """See interfaces.Capture. The files are read first; the view is opened after them, at a named restore point."""

    frozen = False

    def __init__(self, session: Session, view: Session, tools: _Tools, folder: Path, scope: Scope) -> None:
        self._session = session
        self._view = view
        self._tools = tools
        self._folder = folder
        self._scope = scope
        self._slot = f"drmgr_backup_{ULID()}".lower()
        self._instant: Instant | None = None
        self._recovery: Mapping[str, Json] = {}

    @property
    def consistent_at(self) -> datetime:
        return self._found().at

    def store(self, sink: Sink) -> None:
        cluster = self._tools.cluster
        refuse_another(sink, cluster.identifier, expected=self._tools.expected)
        files = Files(cluster.directory, cluster.tablespaces, cluster.folder, cluster.identifier)
        with told("the backup could not be started"):
            # from here on the server keeps its log until this session ends
            self._one(_SLOT, self._slot)
            start = parse_lsn(self._one(_START, f"drmgr {self._slot}"))
            timeline = int(self._one(_TIMELINE))
        self._tools.refuse_a_copy(start)
        manifest = store_files(sink, files, self._tools.clock)
        with told("the backup could not be ended"):
            stop, label, _ = self._row(_STOP)
        if read_tablespaces(self._session) != cluster.tablespaces:
            raise SourceError("a tablespace came or went while the backup ran", hint="back up again")
        write_durably(self._folder / "backup_label", label.encode())
        write_durably(self._folder / MANIFEST, manifest)
        self._keep_settings()
        sink.save(Tree(LABEL_PART, self._folder))
        self._instant = self._find(timeline, start)
        if self._instant.position < parse_lsn(stop):
            raise SourceError("the server's log went backwards during the backup")
        last = self._store_log(sink, timeline, start)
        self._recovery = self._described(timeline, last)

    def _keep_settings(self) -> None:
        """Beside the label, for people: a restored server on scratch has settings of its own."""
        for number, path in enumerate(self._tools.cluster.settings_files):
            try:
                content = path.read_bytes()
            except OSError as error:
                raise SourceError(f"the settings in {path} cannot be read: {error.strerror}") from error
            write_durably(self._folder / f"settings-{number}-{path.name}", content)

    def facts(self) -> Facts:
        clock = self._tools.clock
        started, instant = clock.monotonic(), self._found()
        groups = read_groups(self._view, self._scope, instant.sequences)
        groups["recovery"] = dict(self._recovery)
        return Facts(PHYSICAL, instant.at, groups, clock.monotonic() - started)

    def _found(self) -> Instant:
        if self._instant is None:
            raise SourceError("a physical backup has no view before its files are stored")
        return self._instant

    def _find(self, timeline: int, start: int) -> Instant:
        tools = self._tools
        return find_instant(
            Bracket(
                view=self._view,
                marker=self._session,
                open_view=self._open_view,
                flush=self._switch,
                reader=tools.reader,
                log=tools.cluster.directory / "pg_wal",
                timeline=timeline,
                since=start,
                clock=tools.clock,
            )
        )

    def _open_view(self) -> None:
        self._view.rollback()
        self._view.isolation_level = psycopg.IsolationLevel.REPEATABLE_READ
        self._view.read_only = True
        lock_tables(self._view)

    def _switch(self) -> None:
        """Ends the present segment; all before it is on disk then."""
        with told("the server's log could not be switched"):
            self._one(_SWITCH)

    def _store_log(self, sink: Sink, timeline: int, start: int) -> int:
        """The segments from the start of the backup up to the restore point; gives the number of the last one."""
        cluster = self._tools.cluster
        size = cluster.segment_size
        first, last = start // size, self._found().position // size
        names = tuple(segment_name(timeline, number, size) for number in range(first, last + 1))
        log = (cluster.directory / "pg_wal").resolve()
        part = sink.save(Tree(WAL_PART, log, only=names))
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

    def _described(self, timeline: int, last: int) -> dict[str, Json]:
        cluster, instant = self._tools.cluster, self._found()
        return {
            "system_identifier": cluster.identifier,
            "timeline": timeline,
            "restore_point": instant.name,
            "position": instant.position,
            "last_log": last,
            "tries": instant.tries,
            "database": self._view.info.dbname,
            "admin": cluster.admin,
            "preload_libraries": cluster.preload_libraries,
            "manifest": MANIFEST,
        }

    def _one(self, query: LiteralString, *values: str) -> str:
        return str(self._row(query, *values)[0])

    def _row(self, query: LiteralString, *values: str) -> tuple[Any, ...]:
        row = self._session.execute(query, values).fetchone()
        if row is None:
            raise SourceError("the server did not answer")
        return row
