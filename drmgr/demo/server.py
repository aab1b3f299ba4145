"""A server of the demo: started, waited for, noted in a file, and ended, by us or by a later command."""

import json
import os
import signal
import time
from collections.abc import Callable
from contextlib import ExitStack, suppress
from dataclasses import dataclass
from pathlib import Path

from drmgr.errors import PreflightError
from drmgr.system.command import Command, Process, Runner
from drmgr.system.files import write_atomically

START_SECONDS = 60.0
STOP_SECONDS = 20.0
POLL_SECONDS = 0.03


@dataclass(frozen=True)
class ServerPlan:
    """How one server runs.

    ``marker`` is an argument that no other process has; only a process whose command line holds it is ever ended.
    ``note`` is the file that remembers a detached server. ``stop_signal`` asks the server to end at once but in order.
    """

    name: str
    command: Command
    marker: str
    log: Path
    note: Path
    ready: Callable[[], bool]
    stop_signal: signal.Signals = signal.SIGTERM


class ServerProcess:
    """One running server: attached (ended by ``stop``, whatever happens) or detached (outlives this program)."""

    def __init__(self, plan: ServerPlan, runner: Runner) -> None:
        self._plan = plan
        self._runner = runner
        self._stack = ExitStack()
        self._process: Process | None = None
        self._pid: int | None = None

    @property
    def pid(self) -> int:
        """The server's process id. Raises RuntimeError before it was started."""
        if self._pid is None:
            raise RuntimeError(f"{self._plan.name} was not started")
        return self._pid

    def start(self, *, detached: bool) -> None:
        """Starts the server and waits until it answers. Raises PreflightError when it does not; nothing is left then."""
        plan = self._plan
        plan.log.parent.mkdir(parents=True, exist_ok=True)
        try:
            if detached:
                self._pid = self._runner.start_daemon(plan.command, plan.log)
                note = {"pid": self._pid, "marker": plan.marker, "signal": int(plan.stop_signal), "name": plan.name}
                write_atomically(plan.note, json.dumps(note).encode())
            else:
                log = self._stack.enter_context(plan.log.open("ab"))
                self._process = self._stack.enter_context(self._runner.start(plan.command, stdout=log))
                self._pid = self._process.pid
            self._await_ready()
        except BaseException:
            self.stop()
            raise

    def stop(self) -> None:
        """Ends the server in order, or by force when that takes too long. Does nothing when it is down already."""
        if self._process is not None:
            self._process.stop(grace=STOP_SECONDS, first=self._plan.stop_signal)
            with self._plan.log.open("a") as log:
                log.write(self._process.stderr_tail())
            self._process = None
        elif self._pid is not None:
            stop_noted(self._plan.note)
        self._stack.close()
        self._pid = None

    def running(self) -> bool:
        if self._process is not None:
            return self._process.running()
        return self._pid is not None and runs(self._pid, self._plan.marker)

    def _await_ready(self) -> None:
        plan = self._plan
        deadline = time.monotonic() + START_SECONDS
        while not plan.ready():
            if not self._starting():
                raise PreflightError(f"{plan.name} did not start", hint=f"its own words are in {plan.log}")
            if time.monotonic() > deadline:
                raise PreflightError(
                    f"{plan.name} did not answer within {START_SECONDS:.0f} s", hint=f"its own words are in {plan.log}"
                )
            time.sleep(POLL_SECONDS)
        if not self.running():
            raise PreflightError(f"{plan.name} ended at once", hint=f"its own words are in {plan.log}")

    def _starting(self) -> bool:
        # between fork and exec a detached child still bears our own command line, so only its death counts here
        if self._process is not None:
            return self._process.running()
        return self._pid is not None and _command_line(self._pid) != b""


def runs(pid: int, marker: str) -> bool:
    """Whether that process is alive and its command line holds ``marker``; a reused process id does not count."""
    return os.fsencode(marker) in _command_line(pid)


def stop_noted(note: Path) -> str | None:
    """Ends the detached server that ``note`` remembers and removes the note; its name, or None when none ran."""
    if not note.exists():
        return None
    kept = json.loads(note.read_bytes())
    pid, marker = int(kept["pid"]), str(kept["marker"])
    ran = runs(pid, marker)
    for number in (signal.Signals(int(kept["signal"])), signal.SIGKILL):
        if not runs(pid, marker):
            break
        with suppress(ProcessLookupError):
            os.kill(pid, number)
        _await_end(pid, marker)
    note.unlink(missing_ok=True)
    return str(kept["name"]) if ran else None


def _await_end(pid: int, marker: str) -> None:
    deadline = time.monotonic() + STOP_SECONDS
    while runs(pid, marker) and time.monotonic() < deadline:
        time.sleep(POLL_SECONDS)


def _command_line(pid: int) -> bytes:
    """What /proc says; empty for a process that is gone or only waits to be reaped."""
    try:
        return Path(f"/proc/{pid}/cmdline").read_bytes()
    except (FileNotFoundError, ProcessLookupError):
        return b""
