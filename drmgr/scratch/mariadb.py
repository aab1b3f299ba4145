"""MariaDB on scratch: no network, an unprivileged account, one directory; tuned to load fast and be thrown away."""

import os
import re
import secrets
import socket
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

import pymysql

from drmgr.errors import ScratchError, ToolError
from drmgr.interfaces import Clock
from drmgr.model import Instance, Recipe
from drmgr.scratch.processes import alive, end_processes, wait_until
from drmgr.scratch.server import SOCKET_BYTES, START_SECONDS, give_to, last_line, may_enter, write_private
from drmgr.system.command import Command, Runner, find_program
from drmgr.system.secret import Secret

SOCKET_NAME = "mysqld.sock"
SUPERUSER = "root"
ANSWER_SECONDS = 5.0
LARGE_HOST_BYTES = 4 * 1024**3
INSTALLED = (Path("/usr/sbin"), Path("/usr/libexec"), Path("/usr/local/sbin"))

PRIVATE: Mapping[str, str] = {
    "skip-networking": "ON",
    "local-infile": "OFF",
    "symbolic-links": "OFF",
    # jobs of the source must not run on its copy
    "event-scheduler": "OFF",
    "skip-log-bin": "",
    "log-warnings": "1",
}

FAST: Mapping[str, str] = {
    "innodb-flush-log-at-trx-commit": "0",
    "innodb-doublewrite": "OFF",
    "innodb-fast-shutdown": "2",
    "innodb-log-file-size": "256M",
    "performance-schema": "OFF",
    "max-allowed-packet": "1G",
}

CLEAN = """\
DELETE FROM mysql.global_priv WHERE NOT (Host = 'localhost' AND User IN ('root', 'mariadb.sys')) AND Host <> '';
DELETE FROM mysql.proxies_priv WHERE NOT (Host = 'localhost' AND User = 'root');
FLUSH PRIVILEGES;
ALTER USER 'root'@'localhost' IDENTIFIED BY '{password}';
"""
"""Leaves of the accounts that an installation makes, and of their rights to stand for others, only those that a server needs:
the others would come to an account of the same name that the source brings. It runs before the socket opens: at
no time can anybody enter without the password."""

LOGGED: Mapping[str, str] = {
    # by its own log a server tells how far a replay came
    "log-bin": "drmgr-replayed",
    "binlog-format": "ROW",
    "server-id": "1",
    "sync-binlog": "0",
    "max-binlog-size": "1G",
    # else a server with a log refuses functions that one without it took
    "log-bin-trust-function-creators": "ON",
}

TAKEN_OVER = ("character-set-server", "collation-server", "lower-case-table-names")
"""What a recipe may set: without these, names and texts without a charset of their own come out differently."""


@dataclass(frozen=True)
class MariadbPlan:
    """What a server is to be. ``home`` holds everything of it; ``socket`` is the directory of its socket.

    ``opening`` are the statements that run before the socket opens, one a line, and give ``superuser`` its ``{password}``.
    """

    home: Path
    socket: Path
    passfile: Path
    user: str
    settings: Mapping[str, str] = field(default_factory=dict)
    superuser: str = SUPERUSER
    opening: str = CLEAN


class MariadbServer:
    """Makes, starts and stops one server. ``home`` must exist, private to ``user`` (0700)."""

    def __init__(self, plan: MariadbPlan, runner: Runner, clock: Clock) -> None:
        self._plan = plan
        self._runner = runner
        self._clock = clock
        self._programs = {name: _program(name) for name in ("mariadbd", "mariadb-install-db")}
        self._pid = 0

    @property
    def data(self) -> Path:
        return self._plan.home / "data"

    @property
    def log(self) -> Path:
        return self._plan.home / "server.log"

    def instance(self, database: str = "") -> Instance:
        """How it is reached; the password file is one that MariaDB's own programs read."""
        return Instance(
            engine="mariadb",
            database=database,
            socket=self._plan.socket,
            user=self._plan.superuser,
            passfile=self._plan.passfile,
        )

    def furnish(self) -> None:
        """Makes a random password for the superuser, and the folders beside the data directory. Raises OSError."""
        write_private(self._plan.passfile, f'[client]\npassword="{secrets.token_hex(32)}"\n')
        for name in ("tmp", "empty"):
            folder = self._plan.home / name
            folder.mkdir(mode=0o700)
            give_to(folder, self._plan.user)

    def create(self) -> None:
        """Makes the data directory and a random password for the superuser. Raises ScratchError."""
        self.furnish()
        argv = (
            *(str(self._programs["mariadb-install-db"]), "--no-defaults", f"--datadir={self.data}"),
            *("--auth-root-authentication-method=normal", "--skip-test-db", "--skip-name-resolve"),
            *(f"--tmpdir={self._plan.home / 'tmp'}", *self._initial()),
        )
        done = self._runner.run(Command(argv, cwd=self._plan.home, user=self._plan.user))
        if done.code != 0:
            lines = f"{done.stdout.decode(errors='replace')}\n{done.stderr}"
            reason = last_line(lines, "[ERROR] ") if "[ERROR] " in lines else last_line(done.stderr)
            raise ScratchError(f"no MariaDB data directory could be made in {self._plan.home}: {reason}")

    def start(self) -> None:
        """Starts the server and returns once it answers. Raises ScratchError with the last error of its log."""
        opening = self._plan.home / "opening.sql"
        write_private(opening, self._opening(), self._plan.user)
        private = {name: value for name, value in PRIVATE.items() if name != "skip-log-bin" or not self._logged}
        settings = {
            **private,
            **self._plan.settings,
            "datadir": str(self.data),
            "socket": str(self._plan.socket / SOCKET_NAME),
            "pid-file": str(self._plan.home / "server.pid"),
            "tmpdir": str(self._plan.home / "tmp"),
            "secure-file-priv": str(self._plan.home / "empty"),
            "init-file": str(opening),
        }
        argv = [str(self._programs["mariadbd"]), "--no-defaults"]
        argv += [f"--{name}={value}" if value else f"--{name}" for name, value in settings.items()]
        command = Command(tuple(argv), cwd=self._plan.home, user=self._plan.user)
        try:
            self._pid = self._runner.start_daemon(command, self.log)
            answered = wait_until(lambda: self._answers() or not alive(self._pid), self._clock, START_SECONDS)
        finally:
            opening.unlink()
        if not answered or not alive(self._pid):
            reason = _reason(self.log.read_text(encoding="utf-8", errors="replace"))
            self.stop()
            raise ScratchError(f"the scratch database server did not start: {reason}")

    def stop(self) -> int:
        """Ends the server, without care for its data, and gives the number of its processes that were ended."""
        return end_processes(self._plan.home, self._clock)

    @property
    def _logged(self) -> bool:
        return "log-bin" in self._plan.settings

    def _initial(self) -> tuple[str, ...]:
        """Settings that are fixed when the data directory is made."""
        return tuple(
            f"--{name}={value}" for name, value in self._plan.settings.items() if name == "lower-case-table-names"
        )

    def _opening(self) -> str:
        return self._plan.opening.replace("{password}", self._password().reveal())

    def _password(self) -> Secret:
        return Secret(self._plan.passfile.read_text(encoding="ascii").split('"')[1])

    def _answers(self) -> bool:
        place = self._plan.socket / SOCKET_NAME
        with suppress(OSError), socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as line:
            line.connect(str(place))
            session = pymysql.connect(
                user=self._plan.superuser,
                password=self._password().reveal(),
                read_timeout=ANSWER_SECONDS,
                defer_connect=True,
            )
            with suppress(pymysql.Error):
                session.connect(line)
                session.close()
                return True
        return False


def _program(name: str, package: str = "mariadb-server") -> Path:
    try:
        return find_program(name, INSTALLED)
    except ToolError:
        raise ToolError(f"the program {name} is not there", hint=f"install the package {package}") from None


def _reason(log: str) -> str:
    """The first error of a start: those after it follow from it."""
    errors = [line for line in log.splitlines() if "[ERROR]" in line and "Aborting" not in line]
    return re.sub(r"^.*?\[ERROR\] (?:\S*(?:mariadbd|mysqld): )?", "", errors[0]).strip() if errors else last_line(log)


def plan_server(recipe: Recipe, home: Path, socket: Path, passfile: Path, user: str) -> MariadbPlan:
    """The server that takes in the recipe's source; one that writes a log when another is to be replayed into it."""
    memory = {"innodb-buffer-pool-size": f"{_buffer_pool()}M"}
    taken = {name: recipe.settings[name] for name in TAKEN_OVER if name in recipe.settings}
    return MariadbPlan(home, socket, passfile, user, {**FAST, **memory, **taken, **(LOGGED if recipe.target else {})})


def _buffer_pool() -> int:
    """MiB."""
    large = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE") >= LARGE_HOST_BYTES
    return 256 if large else 64


def memory_of() -> int:
    """Bytes that a server of ``plan_server`` takes while it is loaded: its buffers, its log, its threads."""
    return (_buffer_pool() + 192) * 1024**2


def fits_socket(directory: Path) -> bool:
    """Whether the path of a socket in that directory is short enough for the kernel."""
    return len(os.fsencode(directory / SOCKET_NAME)) <= SOCKET_BYTES


def check_host(recipe: Recipe, directory: Path, user: str, runner: Runner) -> None:
    """Programs, version and access, before anything is made. Raises ToolError, ScratchError."""
    refuse_older(recipe, runner)
    _program("mariadb-install-db")
    if not may_enter(directory, user, runner):
        raise ScratchError(
            f"user {user} cannot reach {directory}",
            hint="let others pass through its parent folders (chmod o+x), or name another scratch.directory",
        )


def refuse_older(recipe: Recipe, runner: Runner) -> None:
    """Raises ToolError when this host's server is of an older series than the source: what is newer may not load."""
    have, wanted = server_series(runner), recipe.version
    if wanted and _numbers(have) < _numbers(wanted):
        raise ToolError(
            f"{recipe.source} comes from MariaDB {wanted}, and this host has {have}",
            hint=f"install mariadb-server {wanted} or newer on this host",
        )


def _numbers(series: str) -> tuple[int, ...]:
    return tuple(int(part) for part in series.split("."))


def server_series(runner: Runner, program: str = "mariadbd", package: str = "mariadb-server") -> str:
    """The series of a program on this host, as ``10.11``. Raises ToolError naming the package."""
    done = runner.run(Command((str(_program(program, package)), "--no-defaults", "--version")))
    found = re.search(r"\b(\d+\.\d+)\.\d+", done.stdout.decode(errors="replace") + done.stderr)
    if found is None:
        raise ToolError(f"the program {program} does not tell its version", hint=f"install the package {package}")
    return found[1]


def launch(plan: MariadbPlan, runner: Runner, clock: Clock) -> MariadbServer:
    """Makes and starts the server. Raises ScratchError."""
    server = MariadbServer(plan, runner, clock)
    server.create()
    server.start()
    return server
