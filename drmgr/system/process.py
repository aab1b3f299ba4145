"""Who a process is, so that a run or lock of a process that is gone can be told from one that lives."""

import os
import socket
from dataclasses import dataclass
from pathlib import Path

START_TIME_FIELD = 22
"""Where /proc/PID/stat holds the start time, counted as its manual page counts: from 1."""


@dataclass(frozen=True)
class ProcessIdentity:
    """``started`` tells this process from any other that has, had or will have the same ``pid`` on this host."""

    host: str
    pid: int
    started: str


def this_process() -> ProcessIdentity:
    """The identity of the process that asks."""
    return ProcessIdentity(host=socket.gethostname(), pid=os.getpid(), started=process_started(os.getpid()) or "")


def is_alive(identity: ProcessIdentity) -> bool:
    """Whether that very process still runs here; only asked for processes of this host."""
    return process_started(identity.pid) == identity.started


def process_started(pid: int) -> str | None:
    """When the process with this pid was started, as ``BOOT/TICKS``; None when there is none, or only a zombie."""
    try:
        stat = Path(f"/proc/{pid}/stat").read_text(encoding="utf-8", errors="replace")
        boot = Path("/proc/sys/kernel/random/boot_id").read_text(encoding="ascii").strip()
    except (FileNotFoundError, ProcessLookupError):
        return None
    # the program's name, in brackets, may itself hold spaces and brackets
    fields = stat[stat.rindex(")") + 2 :].split()
    if fields[0] in {"Z", "X"}:
        return None
    return f"{boot}/{fields[START_TIME_FIELD - 3]}"
