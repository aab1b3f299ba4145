"""How MariaDB is reached: PyMySQL for questions, an option file for its own programs; errors without data."""

import os
import re
import socket
import ssl
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, TypeAlias

import pymysql
from pymysql.cursors import Cursor

from drmgr.errors import DrmgrError, PreflightError, SourceError
from drmgr.model import Instance
from drmgr.system.secret import Secret

CONNECT_SECONDS = 10
LOCK_SECONDS = 60
IDLE_SECONDS = 7 * 24 * 3600
PORT = 3306
SOCKET_NAMES = ("mysqld.sock", "mysql.sock", "mariadb.sock")

Session: TypeAlias = "pymysql.Connection[Cursor]"
Tls = Literal["disable", "require", "verify"]


@dataclass(frozen=True)
class MariadbConnection:
    """Where a database lives. ``host`` is a network name, or a unix socket or its directory when it begins with a slash.

    ``password`` None means that the server asks for none. ``tls`` counts over the network only: ``verify`` proves the
    server's name by ``ca`` (None: the system's). ``binaries`` is a folder that holds ``mariadb-dump``; None looks in PATH.
    """

    host: str
    database: str
    user: str
    port: int = PORT
    password: Secret | None = None
    tls: Tls = "disable"
    ca: Path | None = None
    binaries: Path | None = None


@dataclass(frozen=True)
class Endpoint:
    """One database server seen by one account. The password lies only in ``passfile``."""

    host: str
    port: int
    user: str
    database: str
    passfile: Path
    tls: Tls = "disable"
    ca: Path | None = None

    @property
    def local(self) -> bool:
        return self.host.startswith("/")

    @property
    def place(self) -> str:
        """For messages."""
        return self.host if self.local else f"{self.host}:{self.port}"

    def arguments(self, *, charset: bool = True) -> tuple[str, ...]:
        """What MariaDB's own programs need to connect, first in their arguments; no secret in it.

        ``charset`` False is for those that know no character set.
        """
        known = ("--default-character-set=utf8mb4",) if charset else ()
        first = (f"--defaults-file={self.passfile}", f"--user={self.user}", *known)
        if self.local:
            return (*first, "--protocol=SOCKET", f"--socket={socket_file(Path(self.host))}")
        network = ("--protocol=TCP", f"--host={self.host}", f"--port={self.port}")
        return (*first, *network, *self._tls_arguments())

    def _tls_arguments(self) -> tuple[str, ...]:
        if self.tls == "disable":
            return ("--skip-ssl",)
        verify = ("--ssl-verify-server-cert",) if self.tls == "verify" else ("--skip-ssl-verify-server-cert",)
        return ("--ssl", *verify, *(() if self.ca is None else (f"--ssl-ca={self.ca}",)))

    def tls_context(self) -> ssl.SSLContext | None:
        """The same for PyMySQL; None for an open line."""
        if self.local or self.tls == "disable":
            return None
        context = ssl.create_default_context(cafile=self.ca)
        if self.tls == "require":
            context.check_hostname = False
            context.verify_mode = ssl.CERT_NONE
        return context

    def instance(self) -> Instance:
        """The same place in the words of the interfaces."""
        return Instance(
            engine="mariadb",
            database=self.database,
            socket=Path(self.host) if self.local else None,
            host=None if self.local else self.host,
            port=self.port,
            user=self.user,
            passfile=self.passfile,
        )


def endpoint_of(instance: Instance, connection: MariadbConnection, passfile: Path | None) -> Endpoint:
    """The endpoint behind an instance. Raises PreflightError when the instance is not a database server."""
    host = str(instance.socket) if instance.socket is not None else instance.host
    if not host or passfile is None:
        raise PreflightError("the instance is not a database server")
    place = (host, instance.port or PORT, instance.user, instance.database)
    return Endpoint(*place, passfile, connection.tls, connection.ca)


def socket_file(path: Path) -> Path:
    """The socket itself when a directory is named: the first of the usual names that is there."""
    if not path.is_dir():
        return path
    found = [path / name for name in SOCKET_NAMES if (path / name).exists()]
    return found[0] if found else path / SOCKET_NAMES[0]


def write_passfile(directory: Path, password: Secret | None) -> Path:
    """Writes the password, if there is one, into a new option file (0600). Raises PreflightError."""
    lines = "[client]\n"
    if password is not None:
        text = password.reveal()
        if "\n" in text or "\r" in text:
            raise PreflightError("the database password holds a line break, which an option file cannot take")
        escaped = text.replace("\\", "\\\\").replace('"', '\\"')
        lines += f'password="{escaped}"\n'
    directory.mkdir(mode=0o700, parents=True, exist_ok=True)
    # a name of its own: several engines may share the directory, and another program may be reading theirs
    handle, name = tempfile.mkstemp(prefix="mypass-", dir=directory)
    with os.fdopen(handle, "w", encoding="utf-8") as file:
        file.write(lines)
    return Path(name)


def read_password(passfile: Path) -> Secret:
    """The password that ``write_passfile`` wrote, empty when there is none. Raises OSError."""
    found = re.search(r'^password="(.*)"$', passfile.read_text(encoding="utf-8"), re.MULTILINE)
    return Secret(re.sub(r"\\(.)", r"\1", found[1]) if found else "")


def connect(
    endpoint: Endpoint, error: type[DrmgrError] = SourceError, *, database: str | None = None, autocommit: bool = True
) -> Session:
    """An open session, pinned. ``database`` "" chooses none. Raises ``error`` with one sentence that says why not."""
    try:
        context = endpoint.tls_context()
        session: Session = pymysql.connect(
            host="localhost" if endpoint.local else endpoint.host,
            port=endpoint.port,
            user=endpoint.user,
            password=read_password(endpoint.passfile).reveal(),
            database=(endpoint.database if database is None else database) or None,
            charset="utf8mb4",
            connect_timeout=CONNECT_SECONDS,
            autocommit=autocommit,
            ssl=context,
            ssl_disabled=context is None,
            defer_connect=True,
        )
        session.connect(_local_socket(endpoint) if endpoint.local else None)
    except (pymysql.Error, OSError) as failure:
        message, hint = _why_refused(failure, endpoint)
        raise error(message, hint=hint) from None
    with told("the session could not be set up", error):
        pin(session)
    return session


def _local_socket(endpoint: Endpoint) -> socket.socket:
    # PyMySQL leaves its own open when nobody answers
    line = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    try:
        line.settimeout(CONNECT_SECONDS)
        line.connect(str(socket_file(Path(endpoint.host))))
    except OSError:
        line.close()
        raise
    return line


_REASONS: tuple[tuple[frozenset[int], str, str, str], ...] = (
    (
        frozenset({1045, 1698}),
        "",
        "the database server at {place} refused the password of user {user}",
        "check the connection's user and password in the site file",
    ),
    (
        frozenset({1049}),
        "",
        "there is no database {database} on the server at {place}",
        "check the connection's database in the site file",
    ),
    (
        frozenset({1044}),
        "",
        "user {user} may not enter the database {database} at {place}",
        "grant drmgr's account the rights that drmgr doctor names",
    ),
    (
        frozenset({1130}),
        "",
        "the database server at {place} does not let anybody in from this host",
        "create the account for this host's address",
    ),
    (
        frozenset({1040, 1203, 1226}),
        "",
        "the database server at {place} has no connection left for user {user}",
        "raise max_connections, or the account's limit",
    ),
    (
        frozenset(),
        r"Name or service not known|getaddrinfo|name resolution",
        "the name of the database server {place} cannot be resolved",
        "check the connection's host in the site file",
    ),
    (
        frozenset(),
        r"timed out",
        "the database server at {place} did not answer within {seconds} s",
        "is the server up, and the way to it open?",
    ),
    (
        frozenset(),
        r"SSL|TLS|certificate",
        "no secure connection to the database server at {place} could be agreed",
        "check the connection's tls and ca in the site file and the server's certificate",
    ),
)


def _why_refused(failure: Exception, endpoint: Endpoint) -> tuple[str, str]:
    values = {
        "place": endpoint.place,
        "user": endpoint.user,
        "database": endpoint.database,
        "seconds": CONNECT_SECONDS,
    }
    for codes, pattern, message, hint in _REASONS:
        if code_of(failure) in codes or (pattern and re.search(pattern, str(failure))):
            return message.format(**values), hint
    return (
        f"no database server answers at {values['place']}",
        "is the server up, and the connection's host and port right?",
    )


def code_of(failure: BaseException) -> int:
    """The server's error number, 0 when there is none."""
    first = failure.args[0] if failure.args else 0
    return first if isinstance(first, int) else 0


_PLAIN = {
    1064: "the statement is not valid SQL",
    1054: "it names a column that is not there",
    1146: "it names a table that is not there",
    1305: "it names a routine that is not there",
    1142: "the account lacks a right on a table",
    1143: "the account lacks a right on a column",
    1227: "the account lacks a global right",
    1370: "the account lacks a right on a routine",
    1044: "the account lacks rights on the database",
    1050: "there is a table of that name already",
    1114: "there is no room left for the table",
    1021: "the server's disk is full",
    1180: "the rows could not be committed",
    1205: f"a lock was not given within {LOCK_SECONDS} s",
    1213: "the server ended it for a deadlock",
    1317: "it was interrupted on the server",
    1356: "a view refers to what is not there",
    1412: "the structure of a table was changed while its rows were read",
    1449: "the account that a view or routine is defined for is not there",
    1452: "a row refers to one that is not there",
    1062: "a value that must be unique comes twice",
    1524: "an account uses a login plugin that this server does not have",
    1792: "it would change data, and only reading is allowed",
    1927: "the connection to the server was lost",
    1969: "the server ended it for taking too long",
    2006: "the connection to the server was lost",
    2013: "the connection to the server was lost",
}
"""Error numbers told in our words: the server's own texts quote values of rows."""


def plain_reason(code: int) -> str:
    """What the error number means, in words that hold no data."""
    return _PLAIN.get(code) or (f"the server gives error {code}" if code else "the connection to the server was lost")


@contextmanager
def told(what: str, error: type[DrmgrError] = SourceError, *, hint: str | None = None) -> Iterator[None]:
    """Turns PyMySQL's errors into ``error`` with the message ``what: why``."""
    try:
        yield
    except pymysql.Error as failure:
        # 'from None': the original quotes values
        raise error(f"{what}: {plain_reason(code_of(failure))}", hint=hint) from None


PINNED = (
    "SET SESSION sql_mode = '', time_zone = '+00:00', max_statement_time = 0, group_concat_max_len = 1048576, "
    f"lock_wait_timeout = {LOCK_SECONDS}, innodb_lock_wait_timeout = {LOCK_SECONDS}, wait_timeout = {IDLE_SECONDS}, "
    f"net_read_timeout = {IDLE_SECONDS}, net_write_timeout = {IDLE_SECONDS}, idle_transaction_timeout = 0, "
    "idle_readonly_transaction_timeout = 0, idle_write_transaction_timeout = 0, sql_select_limit = DEFAULT, "
    "transaction_isolation = 'REPEATABLE-READ'"
)
"""Settings under which a value has one text on every server, and under which a long view is not cut off."""


def pin(session: Session) -> None:
    """Sets what makes facts equal anywhere. Raises pymysql.Error."""
    try:
        run(session, PINNED)
    except pymysql.Error as failure:
        # older servers name it otherwise
        if code_of(failure) != UNKNOWN_VARIABLE:
            raise
        run(session, PINNED.replace("transaction_isolation", "tx_isolation"))


UNKNOWN_VARIABLE = 1193


def run(session: Session, statement: str, *values: object) -> list[tuple[Any, ...]]:
    """All rows of one statement; ``values`` stand where it says ``%s``. Raises pymysql.Error."""
    with session.cursor() as cursor:
        cursor.execute(statement, values or None)
        return list(cursor.fetchall())


def quoted(*names: str) -> str:
    """Identifiers, quoted and joined by dots."""
    return ".".join("`" + name.replace("`", "``") + "`" for name in names)
