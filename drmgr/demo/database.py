"""The demo's own 'production' PostgreSQL: one server on a unix socket, a database and an owner per business system."""

import os
import pwd
import re
import secrets
import shutil
import signal
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING

from drmgr.demo.server import ServerPlan, ServerProcess, stop_noted
from drmgr.errors import PreflightError, SourceError
from drmgr.system.command import Command, Runner, find_program
from drmgr.system.files import write_atomically
from drmgr.system.secret import Secret

if TYPE_CHECKING:
    import psycopg

BACKUP_ROLE = "drmgr"
SUPERUSER = "postgres"
PORT = 5432
NOTE = "database.json"
NAME = "the demo's production database"
LONGEST_SOCKET_DIRECTORY = 80
DEBIAN_BINARIES = Path("/usr/lib/postgresql")

PHYSICAL_FUNCTIONS = (
    *("pg_backup_start(text, boolean)", "pg_backup_stop(boolean)", "pg_create_restore_point(text)"),
    *("pg_switch_wal()", "pg_create_physical_replication_slot(name, boolean, boolean)"),
)
"""What a physical backup calls, and only a superuser may from the start."""

SETTINGS = {
    "listen_addresses": "",
    "unix_socket_permissions": "0777",
    "max_connections": "50",
    "shared_buffers": "64MB",
    "max_wal_size": "2GB",
    "timezone": "Asia/Shanghai",
    "log_timezone": "Asia/Shanghai",
    # the demo's data can be made again; a hospital's own server must never run like this
    "fsync": "off",
    "synchronous_commit": "off",
    "full_page_writes": "off",
}


class ProductionServer:
    """A PostgreSQL reachable by its unix socket alone, every role by its own SCRAM password.

    Passwords lie in ``directory/secrets/NAME`` (0600), so a site file can refer to them. When drmgr is root the server
    runs as ``user``; when that account cannot enter ``directory``, the data lie in a private temporary directory that
    ``directory/database`` points to.
    """

    def __init__(self, directory: Path, *, user: str = "postgres", runner: Runner | None = None) -> None:
        self.directory = directory.absolute()
        self.port = PORT
        self._user = user if os.geteuid() == 0 else None
        self._runner = runner or Runner()
        self._server: ServerProcess | None = None
        self._home: Path | None = None

    @property
    def data_directory(self) -> Path:
        """Where the server's files lie. Raises RuntimeError before the first start."""
        return self.socket.parent / "data"

    @property
    def socket(self) -> Path:
        """The directory of the unix socket. Raises RuntimeError before the first start."""
        if self._home is None:
            raise RuntimeError(f"{NAME} was not started")
        return self._home / "socket"

    def __enter__(self) -> "ProductionServer":
        self.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()
        self.remove()

    def start(self, *, detached: bool = False) -> None:
        """Makes the cluster when there is none, starts it and waits until it answers.

        Raises ToolError when PostgreSQL is not installed, PreflightError when it does not start.
        """
        self._home = self._find_or_make_home()
        fresh = not (self._home / "data" / "PG_VERSION").exists()
        if fresh:
            self._initialise(self._home)
        self._server = ServerProcess(self._plan(self._home), self._runner)
        self._server.start(detached=detached)
        if fresh:
            self._create_backup_role()

    def start_detached(self) -> None:
        """As ``start``, but the server outlives this program until ``stop_detached``."""
        self.start(detached=True)

    def attach(self) -> None:
        """Finds the server that is up for this directory already. Raises PreflightError."""
        link = self.directory / "database"
        if not (link / "socket").is_dir():
            raise PreflightError(f"{NAME} is not up in {self.directory}", hint="start it with: drmgr demo --keep")
        self._home = link.resolve()

    def stop(self) -> None:
        """Ends the server; its data stay until ``remove``."""
        if self._server is not None:
            self._server.stop()
            self._server = None

    def remove(self) -> None:
        """Removes the stopped server's data."""
        remove_home(self.directory)

    @staticmethod
    def stop_detached(directory: Path) -> str | None:
        """Ends the server that was left running for ``directory``; its name, or None. Its data stay."""
        return stop_noted(directory.absolute() / NOTE)

    def secret_file(self, role: str) -> Path:
        """Where the role's password lies."""
        return self.directory / "secrets" / role

    def password(self, role: str) -> Secret:
        """The role's password. Raises SourceError for a role that was not made here."""
        try:
            return Secret(self.secret_file(role).read_text())
        except FileNotFoundError as error:
            raise SourceError(f"the demo's database has no role {role}") from error

    def create_system(self, system: str) -> None:
        """A database named like the system, owned by the role ``SYSTEM_owner``, readable by the backup role."""
        from psycopg import sql

        owner = f"{system}_owner"
        self._create_role(owner, "LOGIN")
        with self.connect(SUPERUSER, SUPERUSER, autocommit=True) as connection:
            connection.execute(
                sql.SQL("CREATE DATABASE {} OWNER {}").format(sql.Identifier(system), sql.Identifier(owner))
            )
        with self.connect(system, SUPERUSER) as connection:
            connection.execute(sql.SQL("ALTER SCHEMA public OWNER TO {}").format(sql.Identifier(owner)))

    @contextmanager
    def connect(self, database: str, role: str, *, autocommit: bool = False) -> Iterator["psycopg.Connection"]:
        """One connection: committed at the block's end, rolled back on an error. Raises SourceError."""
        import psycopg

        try:
            connection = psycopg.connect(
                host=str(self.socket),
                port=self.port,
                dbname=database,
                user=role,
                password=self.password(role).reveal(),
                autocommit=autocommit,
            )
        except psycopg.OperationalError as error:
            raise SourceError("the demo's database cannot be reached", hint="is the demo still up?") from error
        with connection:
            yield connection

    def _create_backup_role(self) -> None:
        from psycopg import sql

        self._create_role(BACKUP_ROLE, "LOGIN BYPASSRLS REPLICATION")
        # every database made from the template lets drmgr read the server's files in a set state
        with self.connect("template1", SUPERUSER) as connection:
            for function in PHYSICAL_FUNCTIONS:
                statement = f"GRANT EXECUTE ON FUNCTION {function} TO {BACKUP_ROLE}"
                connection.execute(statement.encode())
        with self.connect(SUPERUSER, SUPERUSER) as connection:
            for group in ("pg_read_all_data", "pg_read_all_settings", "pg_read_all_stats"):
                grant = sql.SQL("GRANT {} TO {}").format(sql.Identifier(group), sql.Identifier(BACKUP_ROLE))
                connection.execute(grant)

    def _create_role(self, role: str, attributes: str) -> None:
        from psycopg import sql

        password = self._make_password(role)
        with self.connect(SUPERUSER, SUPERUSER) as connection:
            # hashed here, so that the password never stands in a statement the server might log
            hashed = connection.pgconn.encrypt_password(password.encode(), role.encode(), b"scram-sha-256")
            statement = sql.SQL("CREATE ROLE {} " + attributes + " PASSWORD {}")
            connection.execute(statement.format(sql.Identifier(role), sql.Literal(hashed.decode())))

    def _make_password(self, role: str) -> str:
        password = secrets.token_urlsafe(24)
        (self.directory / "secrets").mkdir(mode=0o700, parents=True, exist_ok=True)
        write_atomically(self.secret_file(role), password.encode(), mode=0o600)
        return password

    def _find_or_make_home(self) -> Path:
        link = self.directory / "database"
        if link.is_dir():
            return link.resolve()
        self.directory.mkdir(parents=True, exist_ok=True)
        if _may_enter(self.directory, self._user) and len(str(link / "socket")) <= LONGEST_SOCKET_DIRECTORY:
            link.mkdir(mode=0o700)
            home = link
        else:
            home = Path(tempfile.mkdtemp(prefix="drmgr-demo-"))
            # left by a demo whose temporary directory was swept away
            link.unlink(missing_ok=True)
            link.symlink_to(home)
        for path in (home, home / "socket"):
            path.mkdir(mode=0o700, exist_ok=True)
            if self._user is not None:
                shutil.chown(path, self._user)
        return home

    def _initialise(self, home: Path) -> None:
        initdb = find_program("initdb", _binaries())
        words = home / "pwfile"
        words.write_text(self._make_password(SUPERUSER))
        words.chmod(0o600)
        if self._user is not None:
            shutil.chown(words, self._user)
        argv = (
            str(initdb),
            f"--pgdata={home / 'data'}",
            f"--username={SUPERUSER}",
            f"--pwfile={words}",
            "--auth=scram-sha-256",
            "--encoding=UTF8",
            "--locale=C.UTF-8",
            "--data-checksums",
            "--no-sync",
        )
        try:
            done = self._runner.run(Command(argv, cwd=home, user=self._user))
        finally:
            words.unlink()
        if done.code != 0:
            remove_home(self.directory)
            raise PreflightError(
                f"{NAME} could not be made: initdb ended with {done.code}", hint=_last_line(done.stderr)
            )

    def _plan(self, home: Path) -> ServerPlan:
        settings = {**SETTINGS, "unix_socket_directories": str(home / "socket")}
        argv = (
            str(find_program("postgres", _binaries())),
            "-D",
            str(home / "data"),
            "-p",
            str(self.port),
            *(word for name, value in settings.items() for word in ("-c", f"{name}={value}")),
        )
        return ServerPlan(
            name=NAME,
            command=Command(argv, cwd=home, user=self._user),
            marker=str(home / "data"),
            log=self.directory / "database.log",
            note=self.directory / NOTE,
            ready=self._answers,
            stop_signal=signal.SIGINT,
        )

    def _answers(self) -> bool:
        try:
            with self.connect(SUPERUSER, SUPERUSER):
                return True
        except SourceError:
            return False


def remove_home(directory: Path) -> None:
    """Removes the data of the stopped server of that demo directory, wherever they lie."""
    link = directory.absolute() / "database"
    if link.is_symlink():
        shutil.rmtree(link.resolve(), ignore_errors=True)
        link.unlink()
    elif link.exists():
        shutil.rmtree(link)


def _binaries() -> list[Path]:
    """Folders of the installed PostgreSQL versions, newest first."""

    def version(folder: Path) -> int:
        found = re.fullmatch(r"\d+", folder.parent.name)
        return int(found.group()) if found else 0

    return sorted(DEBIAN_BINARIES.glob("*/bin"), key=version, reverse=True)


def _may_enter(directory: Path, user: str | None) -> bool:
    """Whether the account may pass through every folder down to ``directory``."""
    if user is None:
        return True
    account = pwd.getpwnam(user)
    for folder in (directory, *directory.parents):
        status = folder.stat()
        if status.st_uid == account.pw_uid:
            allowed = status.st_mode & 0o100
        elif status.st_gid in os.getgrouplist(user, account.pw_gid):
            allowed = status.st_mode & 0o010
        else:
            allowed = status.st_mode & 0o001
        if not allowed:
            return False
    return True


def _last_line(text: str) -> str:
    lines = text.strip().splitlines()
    return lines[-1] if lines else "it gave no reason"
