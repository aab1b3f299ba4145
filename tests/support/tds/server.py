"""The listening side: one thread a client, statements answered by a brain, and everything that can go wrong on the way."""

import re
import select
import socket
import ssl
import struct
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

from tests.support.tds import wire
from tests.support.tds.wire import Column, Gone, Kind, Line

LONGEST_SECONDS = 30
GRACE_SECONDS = 2
"""How long the server waits at most, after rows in the middle of an act, for a client that does not read on."""


@dataclass(frozen=True)
class Say:
    """A message; ``severity`` above 10 is an error and ends the statement."""

    number: int
    severity: int
    text: str


@dataclass(frozen=True)
class Rows:
    """One result set."""

    columns: Sequence[Column]
    rows: Sequence[Sequence[Any]]


@dataclass(frozen=True)
class Breath:
    """A pause in the middle of an act, in which the client may break it off."""


@dataclass(frozen=True)
class UseDatabase:
    """The session is in that database from now on."""

    name: str


Piece = Say | Rows | Breath | UseDatabase
Brain = Callable[["Session", str], Iterator[Piece]]


@dataclass
class Session:
    """One login as the brain sees it."""

    number: int
    login: wire.Login
    secure: bool
    database: str = "master"
    killed: threading.Event = field(default_factory=threading.Event)
    busy: bool = False


@dataclass
class Fault:
    """What is to go wrong with the statements that match.

    ``drop`` breaks the connection after ``after`` pieces of the answer, ``silence`` says nothing more then, ``rows`` sends
    a result set first, ``error`` answers with that error instead, ``quiet`` answers as if all were well and does nothing,
    ``late-error`` does it all and then reports that error, ``wait`` goes on only when the session is killed.
    """

    match: str
    kind: Literal["drop", "silence", "rows", "error", "quiet", "late-error", "wait"]
    after: int = 0
    number: int = 0
    text: str = ""
    times: int = 1


class TdsServer:
    """Listens on the loopback. ``accounts`` maps users to passwords; ``certificate`` None means that there is no TLS."""

    def __init__(
        self,
        brain: Brain,
        accounts: dict[str, str],
        certificate: Path | None = None,
        databases: Callable[[], set[str]] = lambda: {"master"},
    ) -> None:
        self.brain = brain
        self.accounts = accounts
        self.databases = databases
        self.statements: list[str] = []
        self.logins: list[Session] = []
        self.faults: list[Fault] = []
        self.watchers: list[tuple[str, Callable[[str], None]]] = []
        self.mute = False
        self._context = None if certificate is None else _context(certificate)
        self._listener = socket.create_server(("127.0.0.1", 0))
        self._sessions: dict[int, tuple[Session, Line]] = {}
        self._stopping = threading.Event()
        self._acting = threading.Lock()
        self._thread = threading.Thread(target=self._accept, daemon=True)
        self._thread.start()

    @property
    def port(self) -> int:
        return int(self._listener.getsockname()[1])

    def is_there(self, number: int) -> bool:
        """Whether that session has not ended yet."""
        return number in self._sessions

    def hang_up(self, database: str) -> None:
        """Ends the sessions in that database, as a crash would."""
        for session, line in list(self._sessions.values()):
            if session.database == database:
                _hang_up(line.raw)

    def stop(self) -> None:
        """Ends at once, as a crash would."""
        self._stopping.set()
        with suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        for _, line in list(self._sessions.values()):
            _hang_up(line.raw)
        self._thread.join()

    def kill(self, number: int) -> bool:
        """What KILL does; whether there was such a session."""
        found = self._sessions.get(number)
        if found is not None:
            found[0].killed.set()
            if not found[0].busy:
                _hang_up(found[1].raw)
        return found is not None

    def sessions(self) -> list[Session]:
        """Those that are logged in and have not gone; a client that has hung up is not waited for."""
        gone = select.POLLRDHUP | select.POLLHUP | select.POLLERR | select.POLLNVAL
        found = []
        for session, line in list(self._sessions.values()):
            poll = select.poll()
            poll.register(line.raw, gone)
            if not session.killed.is_set() and not poll.poll(0):
                found.append(session)
        return found

    def _accept(self) -> None:
        while not self._stopping.is_set():
            try:
                raw, _ = self._listener.accept()
            except OSError:
                return
            threading.Thread(target=self._serve, args=(raw,), daemon=True).start()

    def _serve(self, raw: socket.socket) -> None:
        # many small messages: the kernel must not hold them back for one another
        raw.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        with closing(raw), suppress(Gone, ssl.SSLError):
            line = Line(raw)
            session = self._log_in(line)
            if session is None:
                return
            self._sessions[session.number] = (session, line)
            try:
                while True:
                    self._converse(session, line)
            finally:
                del self._sessions[session.number]

    def _log_in(self, line: Line) -> Session | None:
        if self.mute:
            self._stopping.wait()
            return None
        line.receive()
        line.send(Kind.ANSWER, wire.prelogin_answer(secure=self._context is not None))
        if self._context is not None:
            line.secure(self._context)
        _, content = line.receive()
        login = wire.read_login(content)
        session = Session(51 + len(self.logins), login, line.is_secure, login.database or "master")
        self.logins.append(session)
        if self.accounts.get(login.user) != login.password:
            _refuse(line, 18456, 14, f"Login failed for user '{login.user}'.")
            return None
        if session.database not in self.databases():
            _refuse(line, 4060, 11, f'Cannot open database "{session.database}" requested by the login.')
            return None
        answer = wire.environment(1, session.database, "master") + wire.collation()
        answer += wire.message(5701, 0, f"Changed database context to '{session.database}'.")
        answer += wire.environment(2, "us_english") + wire.login_ack()
        answer += wire.environment(4, str(wire.PACKET_BYTES), str(wire.PACKET_BYTES)) + wire.done(0)
        line.send(Kind.ANSWER, answer)
        return session

    def _converse(self, session: Session, line: Line) -> None:
        kind, content = line.receive()
        if kind is Kind.ATTENTION:
            line.send(Kind.ANSWER, wire.done(wire.ATTENTION))
            return
        if kind is not Kind.BATCH:
            line.send(Kind.ANSWER, wire.message(2812, 16, "only batches are understood") + wire.done(wire.ERROR))
            return
        text = wire.read_batch(content)
        self.statements.append(text)
        session.busy = True
        self._answer(session, line, text)
        session.busy = False
        if session.killed.is_set():
            raise Gone

    def _fault(self, text: str) -> Fault | None:
        for fault in self.faults:
            if fault.times > 0 and re.search(fault.match, text, re.IGNORECASE):
                fault.times -= 1
                return fault
        return None

    def _answer(self, session: Session, line: Line, text: str) -> None:
        """Sends the pieces as they come. An attention, or a hang-up, in the middle ends the act unfinished."""
        fault = self._fault(text)
        if fault is not None and fault.kind in {"error", "quiet"}:
            failed = fault.kind == "error"
            said = wire.message(fault.number, 16, fault.text) if failed else b""
            line.send(Kind.ANSWER, said + wire.done(wire.ERROR if failed else 0))
            return
        for pattern, act in self.watchers:
            if re.search(pattern, text):
                act(text)
        pieces = self.brain(session, text)
        failed = False
        try:
            for number, piece in enumerate(pieces):
                if fault is not None and number == fault.after:
                    self._go_wrong(fault, session, line)
                if isinstance(piece, Breath):
                    if self._broken_off(session, line):
                        return
                    continue
                failed = failed or (isinstance(piece, Say) and piece.severity > 10)
                line.send(Kind.ANSWER, _encoded(session, piece), last=False)
            if fault is not None and fault.kind == "late-error":
                line.send(Kind.ANSWER, wire.message(fault.number, 16, fault.text), last=False)
                failed = True
        finally:
            pieces.close()  # type: ignore[attr-defined]
        line.send(Kind.ANSWER, wire.done(wire.ERROR if failed else 0))

    def _go_wrong(self, fault: Fault, session: Session, line: Line) -> None:
        if fault.kind == "wait":
            session.killed.wait(LONGEST_SECONDS)
        if fault.kind == "drop":
            _hang_up(line.raw)
            raise Gone
        if fault.kind == "silence":
            self._stopping.wait()
            raise Gone
        if fault.kind == "rows":
            described = [Column("note", "text")]
            line.send(Kind.ANSWER, wire.columns(described) + wire.row(described, ["a row"]), last=False)
            line.send(Kind.ANSWER, wire.done(wire.MORE | wire.COUNT, 1), last=False)
            select.select([line.raw], [], [], GRACE_SECONDS)

    def _broken_off(self, session: Session, line: Line) -> bool:
        if session.killed.is_set():
            raise Gone
        if not select.select([line.raw], [], [], 0)[0]:
            return False
        kind, _ = line.receive()
        if kind is Kind.ATTENTION:
            line.send(Kind.ANSWER, wire.done(wire.ATTENTION))
        return True


def _encoded(session: Session, piece: Piece) -> bytes:
    match piece:
        case Say():
            return wire.message(piece.number, piece.severity, piece.text)
        case Rows():
            body = b"".join(wire.row(piece.columns, row) for row in piece.rows)
            return wire.columns(piece.columns) + body + wire.done(wire.MORE | wire.COUNT, len(piece.rows))
        case UseDatabase():
            old, session.database = session.database, piece.name
            changed = wire.message(5701, 0, f"Changed database context to '{piece.name}'.")
            return wire.environment(1, piece.name, old) + changed
    raise AssertionError(piece)


def _refuse(line: Line, number: int, severity: int, text: str) -> None:
    line.send(Kind.ANSWER, wire.message(number, severity, text) + wire.done(wire.ERROR))


def _hang_up(raw: socket.socket) -> None:
    with suppress(OSError):
        raw.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        raw.shutdown(socket.SHUT_RDWR)


def _context(certificate: Path) -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    # as SQL Server does in TDS 7.4
    context.maximum_version = ssl.TLSVersion.TLSv1_2
    context.load_cert_chain(certificate)
    return context
