"""Programs that go on although their drmgr was killed: each carries a mark that tells whose it is."""

import os
import select
import signal
import time
from collections.abc import Iterator
from contextlib import ExitStack, suppress
from pathlib import Path

from drmgr.system.process import process_started, this_process

MARK = "DRMGR_CALLER"
GRACE_SECONDS = 10.0


def mark() -> dict[str, str]:
    """What goes into the environment of a program that is to end with this process."""
    me = this_process()
    return {MARK: f"{me.pid} {me.started}"}


def end_orphans(grace: float = GRACE_SECONDS) -> int:
    """Ends the marked programs of this host whose caller is gone, and gives their number.

    They are asked first, for they clear up after themselves; what is left after ``grace`` seconds is ended by force.
    """
    with ExitStack() as stack:
        handles = []
        for pid in _pids():
            # the handle comes before the look: a pid may be used again, what a handle stands for cannot change
            with suppress(OSError):
                handle = os.pidfd_open(pid)
                stack.callback(os.close, handle)
                if _is_orphan(pid):
                    handles.append(handle)
        _signal(handles, signal.SIGTERM)
        left = _running(handles, grace)
        _signal(left, signal.SIGKILL)
        _running(left, grace)
        return len(handles)


def _pids() -> Iterator[int]:
    return (int(entry.name) for entry in Path("/proc").iterdir() if entry.name.isdigit())


def _is_orphan(pid: int) -> bool:
    words = Path(f"/proc/{pid}/environ").read_bytes().split(b"\0")
    marks = [word.decode() for word in words if word.startswith(MARK.encode() + b"=")]
    # within a container pids mean other processes
    if not marks or _namespace(pid) != _namespace(os.getpid()):
        return False
    caller, started = marks[0].partition("=")[2].split()
    return process_started(int(caller)) != started


def _namespace(pid: int) -> str:
    return str(Path(f"/proc/{pid}/ns/pid").readlink())


def _signal(handles: list[int], number: signal.Signals) -> None:
    for handle in handles:
        with suppress(ProcessLookupError):
            signal.pidfd_send_signal(handle, number)


def _running(handles: list[int], seconds: float) -> list[int]:
    """Those that have not ended ``seconds`` from now; the others are not waited for longer than they take."""
    deadline, left = time.monotonic() + seconds, list(handles)
    while left and (rest := deadline - time.monotonic()) > 0:
        ended, _, _ = select.select(left, [], [], rest)
        left = [handle for handle in left if handle not in ended]
    return left
