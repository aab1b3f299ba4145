"""Sessions with SQL Server through pymssql, which hides failures in several ways: one statement a batch, always drained.

After any result set pymssql stops reading, and what the server was still doing is broken off in silence. Of several
errors only one is raised, and a message in the middle may be lost. So every answer is read to its end here, every message is
collected as it comes, and a statement has succeeded only when it was drained and no message was an error.
"""

import os
import ssl
import tempfile
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from drmgr.system.secret import Secret

if TYPE_CHECKING:
    import pymssql

LOGIN_SECONDS = 15
SILENCE_SECONDS = 3600
"""How long a server may say nothing inside a statement. BACKUP and RESTORE tell each percent, which counts as speech."""

ERROR_SEVERITY = 11
BATCH_ROWS = 2000
POLL_SECONDS = 0.2
PORT = 1433

SETTINGS = (
    "SET LANGUAGE us_english; SET DATEFORMAT ymd; SET ANSI_NULLS ON; SET ANSI_PADDING ON; SET ANSI_WARNINGS ON; "
    "SET QUOTED_IDENTIFIER ON; SET CONCAT_NULL_YIELDS_NULL ON; SET ARITHABORT ON; SET TEXTSIZE 2147483647; "
    "SET LOCK_TIMEOUT 60000;"
)
"""What every session is pinned to: texts and dates come the same way whatever the login's own settings are."""

CERTIFICATES = ("/etc/ssl/certs/ca-certificates.crt", "/etc/pki/tls/certs/ca-bundle.crt")

Tls = Literal["disable", "require", "verify"]
Row = Mapping[str, Any]

# FreeTDS reads the certificates to trust from a file that the environment names, for all connections alike
_connecting = threading.Lock()


@dataclass(frozen=True)
class Server:
    """A server as one login sees it. ``verify`` proves the server's certificate by ``ca`` and by its name."""

    host: str
    port: int
    user: str
    password: Secret | None = None
    tls: Tls = "require"
    ca: Path | None = None
    silence: int = SILENCE_SECONDS

    @property
    def place(self) -> str:
        """For messages."""
        return f"{self.host}:{self.port}"


class Complaint(Exception):
    """What the server, or the way to it, had to say against a statement. ``number`` is 0 when it is not known."""

    def __init__(self, number: int, texts: tuple[str, ...]) -> None:
        super().__init__(number, *texts)
        self.number = number
        self.texts = texts

    @property
    def lost(self) -> bool:
        """The connection is gone, or the server has been silent for too long."""
        return self.number in LOST

    def says(self, *words: str) -> bool:
        return any(word in text for word in words for text in self.texts)


BAD_LOGIN, NO_DATABASE = 18456, 911
UNREACHABLE, TIMED_OUT, UNKNOWN_HOST, NO_AGREEMENT = 20009, 20003, 20013, 20002
LOGIN_REFUSED = 20018
"""The server said why, but the client library lost it: mostly a database that is not there."""

LOST = frozenset({20003, 20004, 20006, 20017, 20047})

ENTERED = "SELECT DB_NAME() AS entered, CAST(@@SPID AS int) AS number"


@dataclass
class _Heard:
    """The messages of the statement under way."""

    errors: list[str] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    listener: Callable[[str], None] | None = None

    def hear(self, _state: int, severity: int, _server: bytes, _procedure: bytes, _line: int, text: bytes) -> None:
        # pymssql swallows what is raised in here
        said = text.decode("utf-8", errors="replace")
        (self.errors if severity >= ERROR_SEVERITY else self.notes).append(said)
        if self.listener is not None and severity < ERROR_SEVERITY:
            self.listener(said)


class Session:
    """One login. Not for several threads at a time."""

    def __init__(self, connection: "pymssql.Connection", server: Server) -> None:
        self.number = 0
        """By which the server knows this session."""
        self._connection = connection
        self._server = server
        self._heard = _Heard()
        self._left = False
        connection._conn.set_msghandler(self._heard.hear)

    def rows(self, statement: str) -> list[Row]:
        """The rows of the statement's one result set, by the names of its columns. Raises Complaint."""
        sets = self._drained(statement)
        return sets[0] if sets else []

    def row(self, statement: str) -> Row:
        """The first row. Raises Complaint, and so also when there is none."""
        found = self.rows(statement)
        if not found:
            raise Complaint(0, ("the server gave no row",))
        return found[0]

    def act(self, statement: str, listener: Callable[[str], None] | None = None) -> tuple[str, ...]:
        """Carries the statement out to its end and gives what the server said meanwhile. Raises Complaint."""
        self._heard.listener = listener
        try:
            self._drained(statement)
        finally:
            self._heard.listener = None
        return tuple(self._heard.notes)

    def stream(self, statement: str, at_once: int = BATCH_ROWS) -> Iterator[tuple[Any, ...]]:
        """The rows of the first result set as they come, so many in memory; whatever follows is drained too.

        Raises Complaint.
        """
        with self._listening(), self._connection.cursor() as cursor:
            cursor.execute(statement)
            if cursor.description:
                while batch := cursor.fetchmany(at_once):
                    yield from batch
            while cursor.nextset():
                pass

    def close(self) -> None:
        if not self._left:
            self._connection.close()

    def _drained(self, statement: str) -> list[list[Row]]:
        """All result sets. While pymssql waits no signal arrives, so it waits in another thread; on the way out the server
        is told to end the statement too.
        """
        outcome: list[list[list[Row]] | Exception] = []
        ended = threading.Event()

        def work() -> None:
            try:
                outcome.append(self._drain(statement))
            except (Complaint, OSError, ValueError) as error:
                outcome.append(error)
            finally:
                ended.set()

        threading.Thread(target=work, daemon=True).start()
        try:
            while not ended.wait(POLL_SECONDS):
                pass
        except BaseException:
            if not ended.is_set():
                if self.number:
                    _kill(self._server, self.number)
                # what still waits must not lose its connection under its feet
                self._left = not ended.wait(LOGIN_SECONDS)
            raise
        if not outcome:
            raise Complaint(0, ("the statement ended without an outcome",))
        if isinstance(outcome[0], Exception):
            raise outcome[0]
        return outcome[0]

    def _drain(self, statement: str) -> list[list[Row]]:
        with self._listening(), self._connection.cursor() as cursor:
            cursor.execute(statement)
            sets: list[list[Row]] = []
            while True:
                if cursor.description:
                    names = [column[0] for column in cursor.description]
                    sets.append([dict(zip(names, row, strict=True)) for row in cursor.fetchall()])
                if not cursor.nextset():
                    return sets

    @contextmanager
    def _listening(self) -> Iterator[None]:
        import pymssql

        heard = self._heard
        heard.errors.clear()
        heard.notes.clear()
        try:
            yield
        except pymssql.Error as error:
            number, told = _first(error)
            raise Complaint(number, (*heard.errors, told)) from None
        if heard.errors:
            raise Complaint(0, tuple(heard.errors))


def connect(server: Server, database: str = "master") -> Session:
    """A session in that database. Raises Complaint; one that is not in the database it asked for is none."""
    import pymssql

    with _connecting, _trusted(server):
        try:
            connection = pymssql.connect(
                server=server.host,
                port=str(server.port),
                user=server.user,
                password="" if server.password is None else server.password.reveal(),
                database=database,
                tds_version="7.4",
                encryption="off" if server.tls == "disable" else "require",
                autocommit=True,
                login_timeout=LOGIN_SECONDS,
                timeout=server.silence,
                appname="drmgr",
                conn_properties=SETTINGS,
            )
        except pymssql.Error as error:
            told = _first(error)[1]
            raise Complaint(_why_not(told), (told,)) from None
    session = Session(connection, server)
    try:
        _prove_entered(session, database)
    except Complaint:
        session.close()
        raise
    return session


def _prove_entered(session: Session, database: str) -> None:
    # pymssql chooses the database once more and does not look whether that worked
    found = session.row(ENTERED)
    session.number, entered = int(found["number"]), str(found["entered"])
    if entered.lower() != database.lower():
        raise Complaint(NO_DATABASE, (f"the session is in {entered}",))


def _first(error: Exception) -> tuple[int, str]:
    """Number and text of an error: pymssql nests them once or twice."""
    found: Any = error.args
    while len(found) == 1 and isinstance(found[0], tuple):
        found = found[0]
    number = found[0] if found and isinstance(found[0], int) else 0
    text = found[-1] if found else b""
    told = text.decode("utf-8", errors="replace") if isinstance(text, bytes) else str(text)
    return number, told


def _why_not(told: str) -> int:
    """Why there is no connection, from the text alone: the number may be left over from an earlier one."""
    if "Login failed" in told:
        return BAD_LOGIN
    if "Cannot open database" in told:
        return NO_DATABASE
    for number in (UNREACHABLE, TIMED_OUT, LOGIN_REFUSED, NO_AGREEMENT):
        if f"DB-Lib error message {number}" in told:
            return number
    return UNKNOWN_HOST if "DB-Lib" not in told else 0


@contextmanager
def _trusted(server: Server) -> Iterator[None]:
    if server.tls != "verify":
        yield
        return
    trust = _system_certificates() if server.ca is None else str(server.ca)
    content = f"[global]\n\tca file = {trust}\n\tcheck certificate hostname = yes\n"
    before = os.environ.get("FREETDSCONF")
    with tempfile.NamedTemporaryFile("w", suffix=".conf", encoding="utf-8") as file:
        file.write(content)
        file.flush()
        os.environ["FREETDSCONF"] = file.name
        try:
            yield
        finally:
            if before is None:
                del os.environ["FREETDSCONF"]
            else:
                os.environ["FREETDSCONF"] = before


def _system_certificates() -> str:
    """This host's own, for pymssql brings an OpenSSL along that looks for them elsewhere."""
    known = (ssl.get_default_verify_paths().cafile, *CERTIFICATES)
    return next((path for path in known if path and Path(path).is_file()), "system")


def act(
    server: Server, statement: str, listener: Callable[[str], None] | None = None, *, database: str = "master"
) -> tuple[str, ...]:
    """As ``Session.act``, in a session of its own: after a late error the next statement would be told the old one."""
    session = connect(server, database)
    try:
        return session.act(statement, listener)
    finally:
        session.close()


def _kill(server: Server, number: int) -> None:
    # without the right to end it, the server ends it when this process is gone
    with suppress(Complaint):
        session = connect(server)
        try:
            session.act(f"KILL {number}")
        finally:
            session.close()
