"""How a SQL Server database is reached, and its complaints in words without data."""

import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from drmgr.engines.sqlserver import statements
from drmgr.errors import DrmgrError, PreflightError, SourceError
from drmgr.model import Instance
from drmgr.system import mssql
from drmgr.system.mssql import Complaint, Server, Session
from drmgr.system.mssql_access import Access, Handover, read_access


@dataclass(frozen=True)
class SqlServerConnection:
    """Where a database lives. ``share`` is where the server writes its backups to, as both sides see it.

    ``copy_only`` leaves other people's differentials and logs alone; ``compression`` is the server's own.
    """

    server: Server
    database: str
    share: Handover
    compression: bool = False
    copy_only: bool = False

    @property
    def access(self) -> Access:
        return Access(self.server, self.share)


@dataclass(frozen=True)
class Endpoint:
    """One database of one server."""

    access: Access
    database: str

    @property
    def server(self) -> Server:
        return self.access.server


def endpoint_of(of: Instance) -> Endpoint:
    """What lies behind an instance. Raises PreflightError when it is not a SQL Server."""
    if of.engine != "sqlserver" or of.passfile is None:
        raise PreflightError("the instance is not a SQL Server database")
    try:
        return Endpoint(read_access(of.passfile), of.database)
    except (OSError, ValueError, KeyError) as failure:
        raise PreflightError(f"the access file {of.passfile} cannot be read") from failure


def write_access_file(directory: Path, access: Access) -> Path:
    """Writes it under a new name. Raises OSError."""
    directory.mkdir(mode=0o700, parents=True, exist_ok=True)
    folder = Path(tempfile.mkdtemp(prefix="mssql-", dir=directory))
    path = folder / "access.json"
    access.write(path)
    return path


@contextmanager
def opened(endpoint: Endpoint, error: type[DrmgrError] = SourceError, database: str | None = None) -> Iterator[Session]:
    """A session in the endpoint's database, or in another. Raises ``error`` with one sentence that says why not."""
    name = endpoint.database if database is None else database
    try:
        session = mssql.connect(endpoint.server, name)
    except Complaint as complaint:
        message, hint = _why_refused(complaint, endpoint.server, name)
        raise error(message, hint=hint) from None
    try:
        yield session
    finally:
        session.close()


def _why_refused(complaint: Complaint, server: Server, database: str) -> tuple[str, str]:
    match complaint.number:
        case mssql.BAD_LOGIN:
            return (
                f"the database server at {server.place} refused the password of user {server.user}",
                "check the connection's user and password in the site file",
            )
        case mssql.NO_DATABASE | mssql.LOGIN_REFUSED:
            return (
                f"the server at {server.place} does not let user {server.user} into the database {database}",
                "is there such a database, and has drmgr's login a user in it?",
            )
        case mssql.UNKNOWN_HOST:
            return (
                f"the name of the database server {server.place} cannot be resolved",
                "check the connection's host in the site file",
            )
        case mssql.UNREACHABLE:
            return (
                f"no database server answers at {server.place}",
                "is the server up, is TCP/IP enabled on it, and the way to it open?",
            )
        case mssql.TIMED_OUT:
            return (
                f"the database server at {server.place} did not answer within {mssql.LOGIN_SECONDS} s",
                "is the server up, and the way to it open?",
            )
        case mssql.NO_AGREEMENT:
            return (
                f"no secure connection to the database server at {server.place} could be agreed",
                "check the connection's tls and ca in the site file and the server's certificate",
            )
    return f"the database server at {server.place} could not be asked", ""


@contextmanager
def told(what: str, error: type[DrmgrError] = SourceError, hint: str | None = None) -> Iterator[None]:
    """Turns the server's complaints into ``error`` with the message ``what: why``."""
    try:
        yield
    except Complaint as complaint:
        why, how = _why(complaint)
        raise error(f"{what}: {why}", hint=hint if how is None else how) from None


_REASONS: tuple[tuple[tuple[int, ...], str, str | None], ...] = (
    ((3201, 3271, 3203), "the server cannot open or read the backup file", "may the server's account use the folder?"),
    (
        (3202, 112),
        "the server cannot write the backup file",
        "is there room in the folder, and may the server write there?",
    ),
    ((3021,), "the server does not do this inside a transaction", None),
    ((3154,), "the backup is that of another database", None),
    ((3159,), "the database still has log that was never backed up", None),
    ((3189, 3183, 3241, 3242, 3243, 3256), "the backup file is damaged or is no backup of SQL Server", None),
    (
        (3169,),
        "the backup was made by a newer version of SQL Server",
        "use a scratch server of the same version or newer",
    ),
    ((3257,), "there is not room enough on the server's disk", "make room, or use a server with a larger disk"),
    (
        (33111,),
        "the backup is encrypted, and the server has not the certificate",
        "restore the certificate on that server first",
    ),
    (
        (4305, 4326, 4330, 4331, 3136, 4319),
        "the backups do not follow one another: the log chain is broken",
        "see which log backups others took, and make a new recovery point",
    ),
    ((4214,), "the database has no full backup yet that a log could follow", "make a recovery point first"),
    (
        (4208,),
        "the database is in the simple recovery model and has no log to back up",
        "set it to FULL, or ship no logs",
    ),
    ((4341,), "the log holds bulk operations, and cannot stop inside", "choose another time"),
    ((911, 4060), "there is no such database", "check the connection's database in the site file"),
    ((262, 229, 297, 300, 916), "drmgr's login has not the right to do this", "grant it what drmgr doctor names"),
    ((8928, 8939), "the database is damaged", None),
    (
        (1105, 9002),
        "there is not room enough in the database or its log",
        "make room, or lay the table into another database",
    ),
    ((2760,), "the database has no such schema, or drmgr's login may not use it", "grant it ALTER on the schema"),
    ((15335, 2714), "something has that name already", None),
    ((1222,), "somebody held a lock for a minute", "try again when nobody changes tables"),
    ((5030, 5061, 5064, 5070), "somebody is in the database", "stop the programs that come again and again"),
    ((20003,), "the server fell silent", "look at the server and at the way to it"),
    ((20004, 20006, 20017, 20047), "the connection to the server broke", "look at the server and at the way to it"),
)

_WORDS = {"Cannot open backup device": 3201, "terminating abnormally": 3013, "timed out": 20003}


def _why(complaint: Complaint) -> tuple[str, str | None]:
    """The reason in our words: the server's own text may quote values."""
    number = complaint.number
    if complaint.lost and complaint.says("timed out"):
        number = mssql.TIMED_OUT
    if not number:
        number = next((known for words, known in _WORDS.items() if complaint.says(words)), 0)
    for numbers, reason, hint in _REASONS:
        if number in numbers:
            return reason, hint
    return (f"SQL Server reports error {number}" if number else "the server reports an error"), None


def clock_of(session: Session) -> mssql.Row:
    """The server's own time: ``utc_now`` and ``utc_offset_minutes``. Raises Complaint."""
    return session.row(statements.NOW)
