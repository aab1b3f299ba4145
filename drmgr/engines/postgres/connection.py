"""How PostgreSQL is reached: psycopg for questions, environment variables for its own programs; errors without data."""

import os
import re
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psycopg
from psycopg.conninfo import make_conninfo

from drmgr.errors import DrmgrError, PreflightError, SourceError
from drmgr.model import Instance
from drmgr.system.secret import Secret

CONNECT_SECONDS = 10
KEEPALIVE_SECONDS = 60
LOCK_SECONDS = 60
MESSAGE_CHARACTERS = 200

Session = psycopg.Connection[tuple[Any, ...]]


@dataclass(frozen=True)
class PostgresConnection:
    """Where a database lives. ``host`` is a network name, or the directory of a unix socket when it begins with a slash.

    ``password`` None means that the server asks for none. ``binaries`` is a folder that holds ``pg_dump``; None looks in
    the usual places.
    """

    host: str
    database: str
    user: str
    port: int = 5432
    password: Secret | None = None
    sslmode: str = "prefer"
    binaries: Path | None = None


@dataclass(frozen=True)
class Endpoint:
    """One database server seen by one account. The password lies only in ``passfile``."""

    host: str
    port: int
    user: str
    database: str
    passfile: Path
    sslmode: str = "prefer"

    def environment(self) -> dict[str, str]:
        """What PostgreSQL's own programs need to connect; no secret in it."""
        return {
            "PGHOST": self.host,
            "PGPORT": str(self.port),
            "PGUSER": self.user,
            "PGPASSFILE": str(self.passfile),
            "PGSSLMODE": self.sslmode,
            "PGCONNECT_TIMEOUT": str(CONNECT_SECONDS),
            "PGAPPNAME": "drmgr",
        }

    def named(self, database: str | None = None) -> str:
        """The ``--dbname`` value that no database name can turn into something else."""
        return make_conninfo(dbname=database or self.database)

    def instance(self) -> Instance:
        """The same place in the words of the interfaces."""
        local = self.host.startswith("/")
        return Instance(
            engine="postgresql",
            database=self.database,
            socket=Path(self.host) if local else None,
            host=None if local else self.host,
            port=self.port,
            user=self.user,
            passfile=self.passfile,
        )


def endpoint_of(instance: Instance, sslmode: str, passfile: Path | None) -> Endpoint:
    """The endpoint behind an instance. Raises PreflightError when the instance is not a database server."""
    host = str(instance.socket) if instance.socket is not None else instance.host
    if not host or passfile is None:
        raise PreflightError("the instance is not a database server")
    return Endpoint(
        host=host,
        port=instance.port or 5432,
        user=instance.user,
        database=instance.database,
        passfile=passfile,
        sslmode=sslmode,
    )


def write_passfile(directory: Path, connection: PostgresConnection) -> Path:
    """Writes the password, if there is one, into a new file (0600) that libpq reads. Raises PreflightError."""
    lines = ""
    if connection.password is not None:
        password = connection.password.reveal()
        if "\n" in password or "\r" in password:
            raise PreflightError("the database password holds a line break, which PostgreSQL cannot take")
        fields = ("*", str(connection.port), "*", connection.user, password)
        lines = ":".join(part.replace("\\", "\\\\").replace(":", "\\:") if part != "*" else part for part in fields)
    directory.mkdir(mode=0o700, parents=True, exist_ok=True)
    # a name of its own: several engines may share the directory, and another program may be reading theirs
    handle, name = tempfile.mkstemp(prefix="pgpass-", dir=directory)
    with os.fdopen(handle, "w", encoding="utf-8") as file:
        file.write(lines + "\n")
    return Path(name)


def connect(
    endpoint: Endpoint,
    error: type[DrmgrError] = SourceError,
    *,
    database: str = "",
    autocommit: bool = False,
    replication: bool = False,
) -> Session:
    """An open session; with ``replication`` one that knows replication commands only.

    Raises ``error`` with one sentence that says why not, never libpq's own text.
    """
    try:
        return psycopg.connect(
            host=endpoint.host,
            port=endpoint.port,
            user=endpoint.user,
            dbname=database or endpoint.database,
            # an empty one: else PGPASSWORD of the shell that calls us would go before the file
            password="",
            passfile=str(endpoint.passfile),
            sslmode=endpoint.sslmode,
            connect_timeout=CONNECT_SECONDS,
            application_name="drmgr",
            client_encoding="UTF8",
            options="",
            # a session waits in silence while files are copied for hours, and firewalls forget it
            keepalives_idle=KEEPALIVE_SECONDS,
            autocommit=autocommit,
            replication="true" if replication else None,
        )
    except psycopg.Error as failure:
        message, hint = _why_refused(str(failure), endpoint, database or endpoint.database)
        raise error(message, hint=hint) from None


_REASONS: tuple[tuple[str, str, str], ...] = (
    # servers in China answer in Chinese: libpq gives no SQLSTATE for a refused connection, only this text
    (
        r"password authentication failed|认证失败|認證失敗",
        "the database server at {place} refused the password of user {user}",
        "check the connection's user and password in the site file",
    ),
    (
        r"no password supplied|fe_sendauth",
        "the database server at {place} asks for a password for user {user}, and the site file names none",
        "name it under connections, as a secret reference",
    ),
    (
        r'database "[^\n]*" does not exist|数据库\s*"?[^\n]*"?\s*不存在',
        "there is no database {database} on the server at {place}",
        "check the connection's database in the site file",
    ),
    (
        r'role "[^\n]*" does not exist|[角用][色户]\s*"?[^\n]*"?\s*不存在',
        "the database server at {place} knows no user {user}",
        "create it on the server, or mend the connection's user in the site file",
    ),
    (
        r"pg_hba\.conf entry for replication",
        "the database server at {place} does not let user {user} replicate from this host",
        "add a line for drmgr's account and the database replication to the server's pg_hba.conf",
    ),
    (
        r"pg_hba\.conf|[Pp]eer authentication",
        "the database server at {place} does not let user {user} in from this host",
        "add a line for drmgr's account to the server's pg_hba.conf",
    ),
    (
        r"could not translate host name|Name or service not known|getaddrinfo",
        "the name of the database server {place} cannot be resolved",
        "check the connection's host in the site file",
    ),
    (
        r"timeout expired",
        "the database server at {place} did not answer within {seconds} s",
        "is the server up, and the way to it open?",
    ),
    (
        r"too many clients|remaining connection slots|连接",
        "the database server at {place} has no connection left",
        "raise max_connections, or keep a slot for drmgr",
    ),
    (
        r"starting up|shutting down|in recovery mode",
        "the database server at {place} is starting up or shutting down",
        "try again when the server is up",
    ),
    (
        r"SSL|certificate",
        "no secure connection to the database server at {place} could be agreed",
        "check the connection's sslmode in the site file and the server's certificate",
    ),
    (
        r"refused|No such file|Connection reset|closed the connection|Permission denied",
        "no database server answers at {place}",
        "is the server up, and the connection's host and port right?",
    ),
)


def _why_refused(text: str, endpoint: Endpoint, database: str) -> tuple[str, str]:
    values = {
        "place": f"{endpoint.host}:{endpoint.port}",
        "user": endpoint.user,
        "database": database,
        "seconds": CONNECT_SECONDS,
    }
    for pattern, message, hint in _REASONS:
        if re.search(pattern, text):
            return message.format(**values), hint
    return f"the database server at {values['place']} refused the connection", "look into the server's log"


@contextmanager
def told(what: str, error: type[DrmgrError] = SourceError) -> Iterator[None]:
    """Turns psycopg's errors into ``error`` with the message ``what: why``."""
    try:
        yield
    except psycopg.Error as failure:
        # 'from None': the original holds DETAIL lines, and with them rows of data
        raise error(f"{what}: {safe_message(failure)}") from None


def safe_message(failure: psycopg.Error) -> str:
    """The server's primary message without anything that can be a value of a row."""
    state = failure.sqlstate or ""
    if state.startswith("P0"):
        return f"a function in the database raised an error ({state})"
    primary = failure.diag.message_primary
    if primary is None:
        return "the connection to the server was lost" if isinstance(failure, psycopg.OperationalError) else "no answer"
    text = safe_text(primary)
    # data exceptions quote the offending value, others quote names
    return re.sub(r'"[^"]*"', '"…"', text) if state.startswith("22") else text


def safe_text(text: str) -> str:
    """The first line up to its first colon, for what follows a colon can be a value; at most 200 characters."""
    first = text.strip().splitlines()[0] if text.strip() else ""
    return first.split(": ")[0].rstrip(":")[:MESSAGE_CHARACTERS]


PINNED = {
    "datestyle": "ISO, YMD",
    "timezone": "UTC",
    "extra_float_digits": "1",
    "bytea_output": "hex",
    "intervalstyle": "iso_8601",
    "xmloption": "content",
    "lc_monetary": "C",
    "row_security": "off",
    "search_path": "",
    "statement_timeout": "0",
    "idle_in_transaction_session_timeout": "0",
    "lock_timeout": f"{LOCK_SECONDS}s",
}
"""Settings under which a value has one text on every server, and under which a long view is not cut off."""

PINNED_SINCE = {"idle_session_timeout": (14, "0"), "transaction_timeout": (17, "0")}


def pin(session: Session) -> None:
    """Sets what makes facts equal anywhere. Raises psycopg.Error."""
    major = session.info.server_version // 10000
    newer = {name: value for name, (since, value) in PINNED_SINCE.items() if major >= since}
    for name, value in {**PINNED, **newer}.items():
        session.execute("SELECT pg_catalog.set_config(%s, %s, false)", (name, value))
    session.commit()
