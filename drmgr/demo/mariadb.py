"""The demo's own 'production' MariaDB: one server on a unix socket, a database and an owner per business system."""

import os
import secrets
import shutil
import socket
import tempfile
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from drmgr.errors import PreflightError, ScratchError, SourceError
from drmgr.model import Recipe
from drmgr.system.clock import SystemClock
from drmgr.system.command import Runner
from drmgr.system.files import write_atomically
from drmgr.system.secret import Secret

if TYPE_CHECKING:
    from drmgr.scratch.mariadb import MariadbServer

BACKUP_ACCOUNT = "drmgr"
BACKUP_RIGHTS = "SELECT, SHOW VIEW, TRIGGER, EVENT, RELOAD, PROCESS"
PHYSICAL_RIGHTS = "LOCK TABLES, REPLICATION SLAVE, BINLOG MONITOR"
"""What a physical backup needs besides."""
SUPERUSER = "root"
SERVER_USER = "mysql"
LINK = "mariadb"
NAME = "the demo's MariaDB"
LONGEST_HOME = 80
SECRET_PREFIX = "mariadb-"

SETTINGS = {
    "local-infile": "ON",
    "character-set-server": "utf8mb4",
    "collation-server": "utf8mb4_unicode_ci",
    "max-connections": "50",
}

LOGGED = {
    "log-bin": "mariadb-bin",
    "binlog-format": "ROW",
    "server-id": "7",
    "expire-logs-days": "5",
    "log-bin-trust-function-creators": "ON",
}
"""What a server needs whose files are backed up."""

Session = Any
"""A pymysql.Connection: its type cannot be named without importing it."""


class ProductionMariadb:
    """A MariaDB reachable by its unix socket alone, every account by its own password.

    Passwords lie in ``directory/secrets/mariadb-NAME`` (0600). Data lie in a private folder that ``directory/mariadb``
    is or points to. The server outlives this object when nobody calls ``stop``. ``logged``: it writes a binary log, and its
    files can be backed up physically.
    """

    def __init__(self, directory: Path, *, runner: Runner | None = None, logged: bool = False) -> None:
        self.directory = directory.absolute()
        self._logged = logged
        self._runner = runner or Runner()
        self._home: Path | None = None

    @property
    def socket(self) -> Path:
        """The unix socket. Raises RuntimeError before the first start."""
        from drmgr.scratch.mariadb import SOCKET_NAME

        return self._started() / SOCKET_NAME

    @property
    def data_directory(self) -> Path:
        """Where the server's files lie. Raises RuntimeError before the first start."""
        return self._started() / "data"

    def start(self) -> None:
        """Makes the data directory and starts the server. Raises ToolError, PreflightError."""
        self._home = self._make_home()
        try:
            server = self._server(self._home)
            server.create()
            server.start()
        except ScratchError as error:
            raise PreflightError(f"{NAME} did not start: {error.message}", hint=error.hint) from error
        self._keep(SUPERUSER, (self._home / "pass").read_text(encoding="ascii").split('"')[1])
        rights = f"{BACKUP_RIGHTS}, {PHYSICAL_RIGHTS}" if self._logged else BACKUP_RIGHTS
        self._account(BACKUP_ACCOUNT, f"GRANT {rights} ON *.* TO {{}}")

    def attach(self) -> None:
        """Finds the server that is up for this directory already. Raises PreflightError."""
        home = self.directory / LINK
        if not home.exists():
            raise PreflightError(f"{NAME} is not up in {self.directory}", hint="start it with: drmgr demo --keep")
        self._home = home.resolve()

    def stop(self) -> bool:
        """Ends the server; whether one ran. Its data stay until ``remove``."""
        return end_server(self.directory)

    def remove(self) -> None:
        """Removes the stopped server's data."""
        remove_home(self.directory)

    def secret_file(self, account: str) -> Path:
        """Where the account's password lies."""
        return self.directory / "secrets" / f"{SECRET_PREFIX}{account}"

    def create_system(self, database: str) -> None:
        """A database, owned by the account ``DATABASE_owner``."""
        with self.connect("", SUPERUSER) as session, session.cursor() as cursor:
            cursor.execute(f"CREATE DATABASE {database} CHARACTER SET utf8mb4 COLLATE utf8mb4_unicode_ci")
        self._account(f"{database}_owner", f"GRANT ALL ON {database}.* TO {{}}")

    @contextmanager
    def connect(self, database: str, account: str) -> Iterator[Session]:
        """One connection: committed at the block's end, rolled back on an error. Raises SourceError."""
        import pymysql

        password = Secret(self.secret_file(account).read_text())
        line = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        try:
            line.connect(str(self.socket))
            session = pymysql.connect(
                user=account,
                password=password.reveal(),
                database=database or None,
                charset="utf8mb4",
                local_infile=True,
                defer_connect=True,
            )
            session.connect(line)
        except (pymysql.Error, OSError) as error:
            line.close()
            raise SourceError(f"{NAME} cannot be reached", hint="is the demo still up?") from error
        with closing(session):
            try:
                yield session
            except BaseException:
                session.rollback()
                raise
            session.commit()

    def _account(self, name: str, grant: str) -> None:
        password = secrets.token_hex(24)
        account = f"`{name}`@`localhost`"
        with self.connect("", SUPERUSER) as session, session.cursor() as cursor:
            cursor.execute(f"CREATE USER {account} IDENTIFIED BY '{password}'")
            cursor.execute(grant.format(account))
        self._keep(name, password)

    def _keep(self, name: str, password: str) -> None:
        self.secret_file(name).parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        write_atomically(self.secret_file(name), password.encode(), mode=0o600)

    def _started(self) -> Path:
        if self._home is None:
            raise RuntimeError(f"{NAME} was not started")
        return self._home

    def _server(self, home: Path) -> "MariadbServer":
        from drmgr.scratch.mariadb import MariadbServer, plan_server

        plan = plan_server(Recipe("", "mariadb", settings={}), home, home, home / "pass", SERVER_USER)
        settings = {**plan.settings, **SETTINGS, **(LOGGED if self._logged else {})}
        plan = type(plan)(plan.home, plan.socket, plan.passfile, plan.user, settings)
        return MariadbServer(plan, self._runner, SystemClock())

    def _make_home(self) -> Path:
        from drmgr.scratch.server import give_to, may_enter

        link = self.directory / LINK
        self.directory.mkdir(parents=True, exist_ok=True)
        link.unlink(missing_ok=True)
        near = os.geteuid() != 0 or may_enter(self.directory, SERVER_USER, self._runner)
        if near and len(str(link)) <= LONGEST_HOME:
            link.mkdir(mode=0o700)
            home = link
        else:
            home = Path(tempfile.mkdtemp(prefix="drmgr-demo-"))
            link.symlink_to(home)
        give_to(home, SERVER_USER)
        return home


def end_server(directory: Path) -> bool:
    """Ends the server of that demo directory, if one runs: whether it did."""
    from drmgr.scratch.processes import end_processes

    home = directory.absolute() / LINK
    return home.exists() and end_processes(home.resolve(), SystemClock()) > 0


def remove_home(directory: Path) -> None:
    """Removes the data of the stopped server of that demo directory, wherever they lie."""
    link = directory.absolute() / LINK
    if link.is_symlink():
        shutil.rmtree(link.resolve(), ignore_errors=True)
        link.unlink()
    elif link.exists():
        shutil.rmtree(link)
