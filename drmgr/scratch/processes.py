"""Processes that live in a directory: the only ones scratch may end."""

import os
import signal
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path

from drmgr.errors import ScratchError
from drmgr.interfaces import Clock

POLL_SECONDS = 0.02
GRACE_SECONDS = 10.0
PROC = Path("/proc")


def boot_id() -> str:
    """Differs after every start of the machine."""
    return (PROC / "sys/kernel/random/boot_id").read_text(encoding="ascii").strip()


def start_time(pid: int) -> int | None:
    """Clock ticks after boot at which the process started; None when there is none. A pid can be used again, this not."""
    fields = _stat(pid)
    return None if fields is None else int(fields[19])


def alive(pid: int) -> bool:
    """Whether the process still runs; one that ended and waits for its parent does not."""
    # a child of ours stays in the table until somebody asks for its end
    with suppress(ChildProcessError):
        os.waitpid(pid, os.WNOHANG)
    fields = _stat(pid)
    return fields is not None and fields[0] not in "ZX"


def _stat(pid: int) -> list[str] | None:
    try:
        text = (PROC / str(pid) / "stat").read_text(encoding="utf-8", errors="replace")
    except (FileNotFoundError, ProcessLookupError):
        return None
    # the name in brackets may hold anything
    return text[text.rindex(")") + 2 :].split()


def processes_in(directory: Path) -> list[int]:
    """Those whose working directory is ``directory`` or lies below it, as PostgreSQL's is its data directory."""
    real = directory.resolve()
    return [pid for pid, place in _working_directories() if place == real or real in place.parents]


def _working_directories() -> Iterator[tuple[int, Path]]:
    for entry in PROC.iterdir():
        if entry.name.isdigit() and int(entry.name) != os.getpid():
            with suppress(OSError):
                yield int(entry.name), Path(str((entry / "cwd").readlink()).removesuffix(" (deleted)"))


def end_processes(directory: Path, clock: Clock, first: signal.Signals = signal.SIGQUIT) -> int:
    """Ends all processes in ``directory`` and gives their number.

    The leaders are asked first, for they clear up after themselves; what is left after some seconds is ended by force.
    Raises ScratchError when one cannot be ended.
    """
    found = processes_in(directory)
    if not found:
        return 0
    _signal([pid for pid in found if _parent(pid) not in found], first)
    if not wait_until(lambda: not any(alive(pid) for pid in found), clock, GRACE_SECONDS):
        _signal(processes_in(directory), signal.SIGKILL)
    gone = wait_until(lambda: not any(alive(pid) for pid in (*found, *processes_in(directory))), clock, GRACE_SECONDS)
    if not gone:
        raise ScratchError(f"processes in {directory} cannot be ended", hint="end them as root, then run drmgr again")
    return len(found)


def kill_processes(directory: Path) -> None:
    """Ends all processes in ``directory`` by force, and does not wait."""
    _signal(processes_in(directory), signal.SIGKILL)


def _parent(pid: int) -> int | None:
    fields = _stat(pid)
    return None if fields is None else int(fields[1])


def _signal(pids: list[int], number: signal.Signals) -> None:
    for pid in pids:
        with suppress(ProcessLookupError):
            os.kill(pid, number)


def wait_until(holds: Callable[[], bool], clock: Clock, seconds: float) -> bool:
    """Polls until the condition holds; False when it does not within ``seconds``."""
    deadline = clock.monotonic() + seconds
    while not holds():
        if clock.monotonic() > deadline:
            return False
        clock.sleep(POLL_SECONDS)
    return True
