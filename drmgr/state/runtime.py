"""The private files of one drmgr process, passwords among them, and the removal of what a killed one left."""

import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from urllib.parse import quote

from drmgr.state.marks import Marks
from drmgr.system.files import private_directory
from drmgr.system.process import process_started, this_process

ALIVE = "alive"
"""The mark in each directory."""


@contextmanager
def runtime_directory(parent: Path) -> Iterator[Path]:
    """A directory that only this user can enter, removed at the end; those of dead processes go first.

    Raises OSError, PreflightError.
    """
    process = this_process()
    # the name says whose it is, so that it is known from its first instant
    ours = f"run-{quote(process.host, safe='')}+"
    for left in parent.glob("run-*") if parent.is_dir() else ():
        if _left_behind(left, ours):
            # another drmgr may be removing it at the same time
            shutil.rmtree(left, ignore_errors=True)
    with private_directory(parent, f"{ours}{process.pid}+{_word(process.started)}+") as path:
        mark = Marks(path)
        mark.set(ALIVE)
        try:
            yield path
        finally:
            mark.clear(ALIVE)


def _left_behind(directory: Path, ours: str) -> bool:
    """Whether its process is gone: by its pid, or by its mark when the host had another name then."""
    if not directory.name.startswith(ours):
        return Marks(directory).held(ALIVE) is False
    pid, _, rest = directory.name.removeprefix(ours).partition("+")
    return pid.isdigit() and rest.partition("+")[0] != _word(process_started(int(pid)))


def _word(started: str | None) -> str:
    return (started or "").replace("/", "-")
