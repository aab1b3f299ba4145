"""PostgreSQL, physical: the server's own files, read where they lie, and the log that makes them whole."""

from collections.abc import Iterator
from contextlib import AbstractContextManager, ExitStack, contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, LiteralString

from drmgr.engines.postgres.cluster import Cluster, control, look_at, read_tablespaces
from drmgr.engines.postgres.connection import Endpoint, Session, connect, told
from drmgr.engines.postgres.engine import LABEL_PART, PHYSICAL, PostgresEngine
from drmgr.engines.postgres.facts import Scope
from drmgr.engines.postgres.preflight import check_server
from drmgr.engines.postgres.replayed import Log, ReplayedCapture, backup_sessions
from drmgr.engines.postgres.store import MANIFEST, Files, refuse_another, store_files
from drmgr.engines.postgres.tools import find_exact
from drmgr.engines.postgres.wal import WalReader, parse_lsn
from drmgr.errors import PreflightError, SourceError
from drmgr.interfaces import Clock, Sink
from drmgr.model import Tree
from drmgr.system.command import Runner
from drmgr.system.files import private_directory, write_durably

_START: LiteralString = "SELECT pg_catalog.pg_backup_start(%s, true)::text"
_STOP: LiteralString = "SELECT lsn::text, labelfile, spcmapfile FROM pg_catalog.pg_backup_stop(false)"


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
    _makers = ()

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
        with backup_sessions(own) as (session, view):
            tools = self._tools(session)
            with ExitStack() as stack:
                folder = stack.enter_context(private_directory(tools.runtime, "label-"))
                scope = replace(self._scope, replayed=True)
                capture = PhysicalCapture(session, view, tools, folder, scope=scope, endpoint=own)
                stack.enter_context(capture.at_work())
                yield capture

    def _tools(self, session: Session) -> _Tools:
        major, binaries = session.info.server_version // 10000, self._connection.binaries
        controldata, waldump = (
            find_exact(self._runner, name, major, binaries) for name in ("pg_controldata", "pg_waldump")
        )
        cluster = look_at(session, self._data_directory, self._runner, controldata)
        reader = WalReader(self._runner, waldump)
        return _Tools(cluster, reader, self._runtime, self._clock, self._runner, controldata, self._identifier)


class PhysicalCapture(ReplayedCapture):
    """See interfaces.Capture and ReplayedCapture: here the files are read where they lie."""

    def __init__(
        self, session: Session, view: Session, tools: _Tools, folder: Path, *, scope: Scope, endpoint: Endpoint
    ) -> None:
        super().__init__(session, view, scope, endpoint=endpoint, reader=tools.reader, clock=tools.clock)
        self._tools = tools
        self._folder = folder

    def store(self, sink: Sink) -> None:
        cluster = self._tools.cluster
        refuse_another(sink, cluster.identifier, expected=self._tools.expected)
        files = Files(cluster.directory, cluster.tablespaces, cluster.folder, cluster.identifier)
        with told("the backup could not be started"):
            self._hold_log()
            start = parse_lsn(self._one(_START, f"drmgr {self._slot}"))
            timeline, older = self._timeline(), self._older()
        self._tools.refuse_a_copy(start)
        stored = store_files(sink, files, self._clock)
        listing = self._beside.submit(stored.manifest, sink)
        with told("the backup could not be ended"):
            stop, label, _ = self._row(_STOP)
        if read_tablespaces(self._session) != cluster.tablespaces:
            raise SourceError("a tablespace came or went while the backup ran", hint="back up again")
        log = Log((cluster.directory / "pg_wal").resolve(), timeline, start, older, self._flush)
        self._find(log)
        if self._found().position < parse_lsn(stop):
            raise SourceError("the server's log went backwards during the backup")
        write_durably(self._folder / "backup_label", label.encode())
        write_durably(self._folder / MANIFEST, listing.result())
        self._keep_settings()
        last = self._store_log(sink, log, cluster.segment_size, Tree(LABEL_PART, self._folder))
        self._describe(cluster, log, last, MANIFEST)

    def _keep_settings(self) -> None:
        """Beside the label, for people: a restored server on scratch has settings of its own."""
        for number, path in enumerate(self._tools.cluster.settings_files):
            try:
                content = path.read_bytes()
            except OSError as error:
                raise SourceError(f"the settings in {path} cannot be read: {error.strerror}") from error
            write_durably(self._folder / f"settings-{number}-{path.name}", content)

    def _flush(self) -> None:
        self._switch()
