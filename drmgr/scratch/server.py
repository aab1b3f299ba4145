"""A private PostgreSQL server: no network, an unprivileged account, one directory."""

import os
import pwd
import re
import secrets
import shutil
import tempfile
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

import psycopg

from drmgr.errors import ScratchError, ToolError
from drmgr.interfaces import Clock
from drmgr.model import Instance
from drmgr.scratch.processes import alive, end_processes, processes_in, wait_until
from drmgr.system.command import Command, Runner, find_program
from drmgr.system.secret import Secret

PORT = 5432
"""Names the socket file only: there is no TCP, so no two servers can meet."""

SOCKET_BYTES = 107
SOCKET_PREFIX = "drmgr-s-"
START_SECONDS = 60.0
INSTALLED = ("/usr/lib/postgresql/{}/bin", "/usr/pgsql-{}/bin")

PRIVATE: Mapping[str, str] = {
    "listen_addresses": "",
    "unix_socket_permissions": "0700",
    # row values never get into the log, and shared memory never leaves the directory
    "log_error_verbosity": "terse",
    "log_min_error_statement": "panic",
    "dynamic_shared_memory_type": "mmap",
}


@dataclass(frozen=True)
class ServerPlan:
    """What a server is to be. ``home`` holds everything of it; ``socket`` is the directory of its socket."""

    home: Path
    socket: Path
    passfile: Path
    version: str
    user: str
    superuser: str = "postgres"
    encoding: str = "UTF8"
    settings: Mapping[str, str] = field(default_factory=dict)


def server_programs(version: str) -> Path:
    """The folder with ``postgres`` and ``initdb`` of that major version. Raises ToolError naming the package."""
    for pattern in INSTALLED:
        folder = Path(pattern.format(version))
        if (folder / "postgres").is_file() and (folder / "initdb").is_file():
            return folder
    raise ToolError(
        f"the server programs of PostgreSQL {version} are not there", hint=f"install the package postgresql-{version}"
    )


class PostgresServer:
    """Makes, starts and stops one server. ``home`` must exist, private to ``user`` (0700)."""

    def __init__(self, plan: ServerPlan, runner: Runner, clock: Clock) -> None:
        self._plan = plan
        self._runner = runner
        self._clock = clock
        self._programs = server_programs(plan.version)
        self._pid = 0

    @property
    def data(self) -> Path:
        return self._plan.home / "data"

    @property
    def log(self) -> Path:
        return self._plan.home / "server.log"

    def instance(self, database: str = "") -> Instance:
        """How it is reached."""
        return Instance(
            engine="postgresql",
            database=database,
            socket=self._plan.socket,
            port=PORT,
            user=self._plan.superuser,
            passfile=self._plan.passfile,
        )

    def create(self) -> None:
        """Makes the data directory and a random password for the superuser. Raises ScratchError."""
        password = Secret(secrets.token_hex(32))
        write_private(self._plan.passfile, f"*:*:*:{self._plan.superuser}:{password.reveal()}\n")
        pwfile = self._plan.home / "pw"
        write_private(pwfile, password.reveal() + "\n", self._plan.user)
        argv = (
            *(str(self._programs / "initdb"), f"--pgdata={self.data}", f"--username={self._plan.superuser}"),
            *("--no-sync", "--data-checksums", f"--encoding={self._plan.encoding}", "--locale=C"),
            *(f"--pwfile={pwfile}", "--auth-local=scram-sha-256", "--auth-host=reject"),
        )
        try:
            done = self._runner.run(Command(argv, cwd=self._plan.home, user=self._plan.user))
        finally:
            pwfile.unlink()
        if done.code != 0:
            reason = last_line(done.stderr, "initdb: error: ")
            raise ScratchError(f"no database cluster could be made in {self._plan.home}: {reason}")

    def start(self, seconds: float = START_SECONDS) -> None:
        """Starts the server and returns once it answers. Raises ScratchError with the last line of its log."""
        settings = {
            **PRIVATE,
            **self._plan.settings,
            "unix_socket_directories": str(self._plan.socket),
            "port": str(PORT),
        }
        argv = [str(self._programs / "postgres"), "-D", str(self.data)]
        for name, value in settings.items():
            argv += ["-c", f"{name}={value}"]
        command = Command(tuple(argv), cwd=self._plan.home, user=self._plan.user)
        self._pid = self._runner.start_daemon(command, self.log)
        answered = wait_until(lambda: self._answers() or not alive(self._pid), self._clock, seconds)
        if not answered or not alive(self._pid):
            reason = last_line(self.log.read_text(encoding="utf-8", errors="replace"))
            self.stop()
            raise ScratchError(f"the scratch database server did not start: {reason}")

    def stop(self) -> int:
        """Ends the server at once, without saving anything, and gives the number of its processes that were ended."""
        return end_processes(self._plan.home, self._clock)

    def running(self) -> bool:
        return bool(processes_in(self.data))

    def _answers(self) -> bool:
        with suppress(psycopg.OperationalError):
            psycopg.connect(
                host=str(self._plan.socket),
                port=PORT,
                user=self._plan.superuser,
                dbname="template1",
                passfile=str(self._plan.passfile),
                connect_timeout=5,
            ).close()
            return True
        return False


def write_private(path: Path, text: str, owner: str | None = None) -> None:
    """Writes a new file that only its owner may read; as root the owner can be another account. Raises OSError."""
    handle = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW, 0o600)
    with os.fdopen(handle, "w", encoding="utf-8") as file:
        file.write(text)
    if owner is not None:
        give_to(path, owner)


def give_to(path: Path, user: str) -> None:
    """Makes ``user`` the owner when we are root; else it stays ours. Raises ScratchError for an unknown account."""
    if os.geteuid() == 0:
        account = account_of(user)
        os.chown(path, account.pw_uid, account.pw_gid)


def give_tree(home: Path, user: str) -> None:
    """Gives all of it to the account the server runs as, and closes it to everybody else. Raises ScratchError."""
    account = account_of(user) if os.geteuid() == 0 else pwd.getpwuid(os.geteuid())
    for folder, folders, names in os.walk(home):
        place = Path(folder)
        place.chmod(0o700)
        for path in (place, *(place / name for name in (*names, *folders))):
            if os.geteuid() == 0:
                os.chown(path, account.pw_uid, account.pw_gid, follow_symlinks=False)


def short_directory(user: str) -> Path:
    """A new private directory with a short path, for a socket whose own place is too deep for the kernel."""
    path = Path(tempfile.mkdtemp(prefix=SOCKET_PREFIX))
    give_to(path, user)
    return path


def account_of(user: str) -> pwd.struct_passwd:
    """The account. Raises ScratchError when there is none, or when it is root: PostgreSQL does not run as root."""
    try:
        account = pwd.getpwnam(user)
    except KeyError:
        raise ScratchError(
            f"there is no account {user} on this host", hint="name one that exists as scratch.user in the site file"
        ) from None
    if account.pw_uid == 0:
        raise ScratchError("scratch servers do not run as root", hint="name another account as scratch.user")
    return account


def may_enter(directory: Path, user: str, runner: Runner) -> bool:
    """Whether ``user`` can reach the directory through all its parents."""
    program = str(find_program("test"))
    return runner.run(Command((program, "-x", str(directory)), cwd=Path("/"), user=user)).code == 0


def remove_tree(path: Path) -> None:
    """Removes a directory with all below it. Raises ScratchError when something is left."""
    while path.exists():
        try:
            shutil.rmtree(path)
        except FileNotFoundError:
            # something else took a file away under our hands: look again
            continue
        except OSError as error:
            raise ScratchError(
                f"{path} could not be removed: {error.strerror}", hint="remove it by hand: it holds restored data"
            ) from error


def last_line(text: str, mark: str = "") -> str:
    """The last line that holds ``mark``, without it and without the time before it."""
    lines = [line for line in text.splitlines() if line.strip() and mark in line]
    if not lines:
        return "it left no message, as where the disk is full"
    return re.sub(r"^[-\d]+ [:.\d]+ \S+ \[\d+\] ", "", lines[-1].split(mark)[-1] if mark else lines[-1]).strip()
