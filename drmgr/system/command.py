"""The only place that starts processes. No shell, own process group, environment built from nothing."""

import os
import pwd
import signal
import subprocess
import tempfile
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, Any

from drmgr.errors import Interrupted, ToolError
from drmgr.system.secret import Secret
from drmgr.system.stopping import undisturbed

INHERITED = ("PATH", "HOME", "TMPDIR", "TZ", "SSL_CERT_FILE", "SSL_CERT_DIR")
"""What children may know of our own environment; never keys or passwords that happen to lie there."""

TAIL_BYTES = 64 * 1024
"""How much of a child's standard error is kept for the error message."""

SECRET_FD = "{secret_fd}"
"""Stands in an argument where the number of the secret's file descriptor belongs."""

SECOND_SECRET_FD = "{second_secret_fd}"
"""The same for the second secret."""


@dataclass(frozen=True)
class Command:
    """One program to run.

    ``secret`` is handed over by a pipe; its descriptor number replaces ``{secret_fd}`` in ``argv``; the same goes for
    ``second_secret``, for programs that open two things at once. ``user`` is the operating-system account to run as (only
    root can choose one). ``stdin_path`` is a file to read instead of ``stdin``.
    ``locale`` is fixed to C.UTF-8 so that messages are the same on every host.
    """

    argv: tuple[str, ...]
    env: Mapping[str, str] = field(default_factory=dict)
    cwd: Path | None = None
    stdin: bytes | None = None
    stdin_path: Path | None = None
    secret: Secret | None = None
    second_secret: Secret | None = None
    user: str | None = None

    @property
    def program(self) -> str:
        return Path(self.argv[0]).name


@dataclass(frozen=True)
class Completed:
    """What a command left behind: exit code (negative: ended by that signal), standard output, tail of standard error."""

    code: int
    stdout: bytes
    stderr: str


class Process:
    """A running command. Standard output is read line by line; standard error goes to a file so neither can block."""

    def __init__(self, popen: "subprocess.Popen[bytes]", stderr: IO[bytes]) -> None:
        self._popen = popen
        self._stderr = stderr

    @property
    def pid(self) -> int:
        return self._popen.pid

    def lines(self) -> Iterator[bytes]:
        """Lines of standard output as they come, until it is closed."""
        assert self._popen.stdout is not None
        yield from self._popen.stdout

    def running(self) -> bool:
        return self._popen.poll() is None

    def wait(self, timeout: float | None = None) -> int:
        """The exit code. Raises subprocess.TimeoutExpired after ``timeout`` seconds."""
        return self._popen.wait(timeout)

    def stderr_tail(self) -> str:
        """The last part of standard error so far."""
        size = self._stderr.seek(0, os.SEEK_END)
        self._stderr.seek(max(0, size - TAIL_BYTES))
        return self._stderr.read().decode(errors="replace")

    def stop(self, grace: float = 10.0, first: signal.Signals = signal.SIGTERM) -> None:
        """Ends the whole process group: politely, then after ``grace`` seconds by force."""
        if self.running():
            self._signal(first)
            with suppress(subprocess.TimeoutExpired):
                self._popen.wait(grace)
        # members of the group may outlive the leader
        self._signal(signal.SIGKILL)
        self._popen.wait()

    def ask(self) -> None:
        """Asks the process group to end, and does not wait."""
        if self.running():
            self._signal(signal.SIGTERM)

    def _signal(self, number: signal.Signals) -> None:
        with suppress(ProcessLookupError, PermissionError):
            os.killpg(self._popen.pid, number)


class Runner:
    """Runs commands; the real one. Tests inject another that has the same methods."""

    def __init__(self) -> None:
        self._running: set[Process] = set()
        self._stopping = False

    def stop_all(self, grace: float = 10.0) -> None:
        """Ends what other threads have running; they get Interrupted, now or when they start their next command.

        All are asked at once, and after ``grace`` seconds each is ended by force.
        """
        self._stopping = True
        running = tuple(self._running)
        for process in running:
            process.ask()
        for process in running:
            process.stop(grace)

    def refuse_stopped(self) -> None:
        """Raises Interrupted once ``stop_all`` was called."""
        if self._stopping:
            raise Interrupted("the main thread")

    def run(self, command: Command, *, timeout: float | None = None) -> Completed:
        """Runs to the end and gives back what it printed; only for commands whose output is small.

        Raises ToolError when the program is not there; subprocess.TimeoutExpired after ``timeout`` seconds.
        """
        with self.start(command) as process:
            stdout = b"".join(process.lines()) if timeout is None else _read_within(process, timeout)
            return Completed(process.wait(timeout), stdout, process.stderr_tail())

    def run_lines(self, command: Command, on_line: Callable[[bytes], None]) -> Completed:
        """Runs to the end and hands each line of standard output to ``on_line`` as it comes; keeps none of it."""
        with self.start(command) as process:
            for line in process.lines():
                on_line(line)
            return Completed(process.wait(), b"", process.stderr_tail())

    @contextmanager
    def start(self, command: Command, *, stdout: IO[bytes] | None = None) -> Iterator[Process]:
        """Starts a command; on leaving the block its process group is ended, whatever state it is in."""
        self.refuse_stopped()
        process: Process | None = None
        with tempfile.TemporaryFile(prefix="drmgr-stderr-") as stderr:
            try:
                # a signal between the start and our knowing of it would leave the process behind
                with undisturbed():
                    process = Process(_spawn(command, stdout or subprocess.PIPE, stderr), stderr)
                    self._running.add(process)
                self.refuse_stopped()
                yield process
                self.refuse_stopped()
            finally:
                if process is not None:
                    self._running.discard(process)
                    process.stop()
                    if process._popen.stdout is not None:
                        process._popen.stdout.close()

    def start_daemon(self, command: Command, log: Path) -> int:
        """Starts a command that outlives this process, output to ``log``; returns its pid (leader of its own group)."""
        self.refuse_stopped()
        with log.open("ab") as output:
            popen = _spawn(command, output, output)
        # somebody must take note of its end, should it come before ours
        threading.Thread(target=popen.wait, name=f"waits for {command.program}", daemon=True).start()
        return popen.pid


def _read_within(process: Process, timeout: float) -> bytes:
    out, _ = process._popen.communicate(timeout=timeout)
    return out or b""


def _spawn(command: Command, stdout: int | IO[bytes], stderr: IO[bytes]) -> "subprocess.Popen[bytes]":
    argv, pass_fds = list(command.argv), []
    for place, secret in ((SECRET_FD, command.secret), (SECOND_SECRET_FD, command.second_secret)):
        if secret is not None:
            pass_fds.append(_pipe_with(secret))
            argv = [argument.replace(place, str(pass_fds[-1])) for argument in argv]
    stdin: int | IO[bytes] = subprocess.DEVNULL
    if command.stdin is not None:
        stdin = _stdin_file(command.stdin)
    elif command.stdin_path is not None:
        stdin = command.stdin_path.open("rb", buffering=0)
    try:
        popen: subprocess.Popen[bytes] = subprocess.Popen(
            argv,
            env=_environment(command.env),
            cwd=command.cwd,
            stdin=stdin,
            stdout=stdout,
            stderr=stderr,
            pass_fds=pass_fds,
            start_new_session=True,
            **_identity(command.user),
        )
        return popen
    except OSError as error:
        raise _not_started(command, error) from error
    finally:
        for handle in pass_fds:
            os.close(handle)
        if not isinstance(stdin, int):
            stdin.close()


def _pipe_with(secret: Secret) -> int:
    """The end to read from; a secret is far shorter than what a pipe takes at once."""
    read_end, write_end = os.pipe()
    os.write(write_end, secret.reveal().encode())
    os.close(write_end)
    return read_end


def _not_started(command: Command, error: OSError) -> ToolError:
    if command.cwd is not None and str(error.filename) == str(command.cwd):
        return ToolError(
            f"{command.program} cannot start in {command.cwd}: {error.strerror}", hint="is its disk mounted?"
        )
    if isinstance(error, FileNotFoundError):
        return missing_program(command.argv[0])
    return ToolError(f"{command.program} cannot be started: {error.strerror}", hint=f"look at {command.argv[0]}")


def _stdin_file(content: bytes) -> IO[bytes]:
    file = tempfile.TemporaryFile(prefix="drmgr-stdin-")  # noqa: SIM115 - the caller closes it
    file.write(content)
    file.seek(0)
    return file


def _environment(extra: Mapping[str, str]) -> dict[str, str]:
    base = {name: os.environ[name] for name in INHERITED if name in os.environ}
    return {**base, "LC_ALL": "C.UTF-8", **extra}


def _identity(user: str | None) -> dict[str, Any]:
    """Popen's arguments for running as ``user``; none when we already are that user."""
    if user is None or os.geteuid() != 0:
        return {}
    account = pwd.getpwnam(user)
    if account.pw_uid == 0:
        return {}
    return {"user": account.pw_uid, "group": account.pw_gid, "extra_groups": os.getgrouplist(user, account.pw_gid)}


def find_program(name: str, folders: Sequence[Path] = ()) -> Path:
    """The program's path, looked for in ``folders`` and then in PATH. Raises ToolError when it is nowhere."""
    places = [*folders, *(Path(place) for place in os.environ.get("PATH", os.defpath).split(os.pathsep))]
    for place in places:
        candidate = place / name
        # os.access says no, where is_file() raises for a folder that we may not enter
        if os.access(candidate, os.X_OK) and candidate.is_file():
            return candidate
    raise missing_program(name)


def missing_program(name: str) -> ToolError:
    """The error for a program that is not installed."""
    return ToolError(
        f"the program {name} is not there", hint=f"install the package that holds {name}; see: drmgr doctor"
    )
