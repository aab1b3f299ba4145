"""PostgreSQL, physical, from afar: pg_basebackup streams the server's files, pg_receivewal brings the log after them."""

import re
from collections.abc import Iterator, Mapping
from contextlib import AbstractContextManager, ExitStack, contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, LiteralString

from drmgr.engines.chains import CHAIN
from drmgr.engines.postgres.cluster import FUNCTIONS_FROM_AFAR, Origin, list_tablespaces, look_from_afar
from drmgr.engines.postgres.connection import Endpoint, Session, connect, told
from drmgr.engines.postgres.engine import LABEL_PART, PHYSICAL, PostgresEngine
from drmgr.engines.postgres.facts import Scope
from drmgr.engines.postgres.fetch import LogFetcher
from drmgr.engines.postgres.preflight import check_server
from drmgr.engines.postgres.replayed import Log, ReplayedCapture, backup_sessions
from drmgr.engines.postgres.store import CLUSTER_PART, TABLESPACE_PART, refuse_another
from drmgr.engines.postgres.tools import find_client, find_exact
from drmgr.engines.postgres.wal import WalReader, parse_lsn
from drmgr.engines.staging import fresh
from drmgr.errors import PreflightError, SourceError
from drmgr.interfaces import Clock, Sink
from drmgr.model import Stream, Tree
from drmgr.system.command import Command, Runner
from drmgr.system.files import free_bytes, private_directory, write_durably

ARCHIVE = "base.tar"
BASE_MANIFEST = "backup_manifest"
"""pg_basebackup's own list of the files, with a hash of each; pg_verifybackup reads it."""

SETTINGS_FILE = "settings.conf"
ROOM_FACTOR = 1.1

_MAY_CHECKPOINT: LiteralString = "SELECT pg_catalog.pg_has_role(current_user, 'pg_checkpoint', 'USAGE')"
_SIZE: LiteralString = "SELECT sum(pg_catalog.pg_database_size(oid))::bigint FROM pg_catalog.pg_database"
_CHANGED: LiteralString = """
SELECT name, pg_catalog.current_setting(name) FROM pg_catalog.pg_settings
WHERE source NOT IN ('default', 'override', 'client', 'session') ORDER BY name"""


@dataclass(frozen=True)
class _Tools:
    """PostgreSQL's programs, and the server as it was found."""

    origin: Origin
    tablespaces: Mapping[str, Path]
    pg_basebackup: Path
    pg_receivewal: Path
    reader: WalReader
    runner: Runner
    clock: Clock
    endpoint: Endpoint
    expected: str | None


class RemotePostgresEngine(PostgresEngine):
    """See interfaces.SqlEngine. The server's files are not on this host.

    ``staging`` is a folder for a copy of them, which only a server with tablespaces needs; None: such a server is refused.
    ``identifier`` is the system identifier that is expected although the repository holds another cluster's backups.
    """

    name = PHYSICAL
    _makers = ("pg_basebackup",)

    def __init__(
        self,
        source: str,
        connection: Any,
        *,
        staging: Path | None = None,
        identifier: str | None = None,
        **options: Any,
    ) -> None:
        super().__init__(source, connection, **options)
        self._identifier = identifier
        self._staging = staging

    def preflight(self) -> None:
        with connect(self._own(), PreflightError) as session:
            check_server(session, self._scope.newest)
            tools = self._tools(session)
            self._refuse_tablespaces(session, tools)
        _refuse_another_server(self._own(), tools.origin)

    def takes_passwords(self) -> bool:
        """They lie in the files."""
        return True

    def capture(self) -> "AbstractContextManager[RemoteCapture]":  # type: ignore[override]
        return self._capture()

    @contextmanager
    def _capture(self) -> "Iterator[RemoteCapture]":
        with backup_sessions(self._own()) as (session, view):
            tools = self._tools(session)
            with ExitStack() as stack:
                room = stack.enter_context(private_directory(self._runtime, "remote-"))
                staging = None
                if tools.tablespaces:
                    self._refuse_tablespaces(session, tools)
                    assert self._staging is not None
                    staging = stack.enter_context(fresh(self._staging))
                scope = replace(self._scope, replayed=True)
                capture = RemoteCapture(session, view, tools, scope, room=room, staging=staging)
                stack.enter_context(capture.at_work())
                yield capture

    def _tools(self, session: Session) -> _Tools:
        major, binaries = session.info.server_version // 10000, self._connection.binaries
        origin, _ = look_from_afar(session, FUNCTIONS_FROM_AFAR)
        with told("the rights of drmgr's account could not be read", PreflightError):
            if session.execute(_MAY_CHECKPOINT).fetchone() != (True,):
                user = session.info.user
                raise PreflightError(
                    f"user {user} may not call for a checkpoint", hint=f"GRANT pg_checkpoint TO {user}"
                )
        basebackup, receivewal = (
            find_client(self._runner, name, major, binaries).path for name in ("pg_basebackup", "pg_receivewal")
        )
        reader = WalReader(self._runner, find_exact(self._runner, "pg_waldump", major, binaries))
        return _Tools(
            origin=origin,
            tablespaces=list_tablespaces(session),
            pg_basebackup=basebackup,
            pg_receivewal=receivewal,
            reader=reader,
            runner=self._runner,
            clock=self._clock,
            endpoint=self._own(),
            expected=self._identifier,
        )

    def _refuse_tablespaces(self, session: Session, tools: _Tools) -> None:
        """A stream holds one folder only; several are copied here first, if there is a folder with room for it."""
        if not tools.tablespaces:
            return
        if self._staging is None:
            raise PreflightError(
                f"the server has {len(tools.tablespaces)} tablespaces, so its files cannot be streamed",
                hint="name a folder with room for all of them as the connection's staging",
            )
        with told("the size of the server's databases could not be read", PreflightError):
            row = session.execute(_SIZE).fetchone()
        needed = int((int(row[0]) if row and row[0] else 0) * ROOM_FACTOR)
        free = free_bytes(self._staging)
        if free < needed:
            raise PreflightError(
                f"the server's files may need {needed} bytes in the staging folder {self._staging}, and {free} are free",
                hint="make room, or name another folder as the connection's staging",
            )


def _refuse_another_server(endpoint: Endpoint, origin: Origin) -> None:
    """PostgreSQL's programs reach the same cluster as we do, and are let in. Raises PreflightError."""
    with (
        connect(endpoint, PreflightError, autocommit=True, replication=True) as session,
        told("the server could not be asked who it is", PreflightError),
    ):
        row = session.execute("IDENTIFY_SYSTEM").fetchone()
    if row is None or str(row[0]) != origin.identifier:
        raise PreflightError(
            f"replication reaches another cluster than the database: {row[0] if row else 'none'}, not {origin.identifier}",
            hint="is there a proxy or a pool before the server? name the server itself as the connection's host",
        )


class RemoteCapture(ReplayedCapture):
    """See interfaces.Capture and ReplayedCapture. ``room`` takes the log that was written during the backup."""

    def __init__(
        self, session: Session, view: Session, tools: _Tools, scope: Scope, *, room: Path, staging: Path | None
    ) -> None:
        super().__init__(session, view, scope, endpoint=tools.endpoint, reader=tools.reader, clock=tools.clock)
        self._tools = tools
        self._room = room
        self._staging = staging

    def store(self, sink: Sink) -> None:
        tools, origin = self._tools, self._tools.origin
        refuse_another(sink, origin.identifier, expected=tools.expected)
        with told("the backup could not be started"):
            # the slot keeps the log from the last checkpoint on: without a new one that could be much
            self._session.execute("CHECKPOINT")
            start = parse_lsn(self._hold_log())
            timeline, older = self._timeline(), self._older()
        if self._staging is None:
            self._stream(sink)
        else:
            self._copy(sink, self._staging)
        if list_tablespaces(self._session, SourceError) != tools.tablespaces:
            raise SourceError("a tablespace came or went while the backup ran", hint="back up again")
        self._keep_settings(sink)
        folder = self._room / "log"
        folder.mkdir()
        fetcher = LogFetcher(
            tools.runner, tools.pg_receivewal, tools.endpoint, folder, timeline, origin.segment_size, start
        )
        log = Log(folder, timeline, start, older, lambda: fetcher.up_to(parse_lsn(self._switch())))
        self._find(log)
        last = self._store_log(sink, log, origin.segment_size)
        self._describe(origin, log, last, BASE_MANIFEST)

    def _arguments(self) -> tuple[str, ...]:
        return (
            *(str(self._tools.pg_basebackup), "--wal-method=none", "--checkpoint=fast", "--no-password"),
            *("--manifest-checksums=SHA256", f"--label=drmgr {self._slot}"),
        )

    def _labels(self) -> tuple[str, ...]:
        return (f"{CHAIN}{self._tools.origin.identifier}",)

    def _stream(self, sink: Sink) -> None:
        argv = (*self._arguments(), "--pgdata=-", "--format=tar")
        sink.save(Stream(CLUSTER_PART, argv, ARCHIVE, self._tools.endpoint.environment(), self._labels()))

    def _copy(self, sink: Sink, staging: Path) -> None:
        data, tools = staging / CLUSTER_PART, self._tools
        places = {oid: staging / f"{TABLESPACE_PART}{oid}" for oid in tools.tablespaces}
        mapped = (
            f"--tablespace-mapping={_escaped(place)}={_escaped(places[oid])}"
            for oid, place in tools.tablespaces.items()
        )
        argv = (*self._arguments(), f"--pgdata={data}", "--format=plain", *mapped)
        done = tools.runner.run(Command(argv, tools.endpoint.environment()))
        if done.code != 0:
            raise SourceError(f"pg_basebackup could not copy the server's files: {_reason(done.stderr)}")
        sink.save(Tree(CLUSTER_PART, data, labels=self._labels()))
        for oid, place in sorted(places.items()):
            sink.save(Tree(f"{TABLESPACE_PART}{oid}", place))

    def _keep_settings(self, sink: Sink) -> None:
        """For people: a restored server on scratch has settings of its own, and those of Debian lie outside its files."""
        with told("the server's settings could not be read"):
            rows = self._session.execute(_CHANGED).fetchall()
        lines = [f"{name} = '{str(value).replace(chr(39), chr(39) * 2)}'" for name, value in rows]
        folder = self._room / LABEL_PART
        folder.mkdir()
        write_durably(folder / SETTINGS_FILE, ("\n".join(lines) + "\n").encode())
        sink.save(Tree(LABEL_PART, folder))


def _escaped(place: Path) -> str:
    return str(place).replace("\\", "\\\\").replace("=", "\\=")


def _reason(stderr: str) -> str:
    lines = [line for line in stderr.splitlines() if re.search(r"error: |ERROR: |FATAL: ", line)]
    return lines[-1].split(": ", 1)[1][:200] if lines else "it gave no reason"
