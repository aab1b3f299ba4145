"""The private files of one drmgr process, passwords among them, and the removal of what a killed one left."""

import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from urllib.parse import quote

from drmgr.system.files import private_directory
from drmgr.system.process import process_started, this_process


@contextmanager
def runtime_directory(parent: Path) -> Iterator[Path]:
    """A directory that only this user can enter, removed at the end; those of this host's dead processes go first.

    Raises OSError.
    """
    process = this_process()
    # the name says whose it is, so that it is known from its first instant
    ours = f"run-{quote(process.host, safe='')}+"
    for left in parent.glob(f"{ours}*") if parent.is_dir() else ():
        pid, _, rest = left.name.removeprefix(ours).partition("+")
        if pid.isdigit() and rest.partition("+")[0] != _word(process_started(int(pid))):
            # another drmgr may be removing it at the same time
            shutil.rmtree(left, ignore_errors=True)
    with private_directory(parent, f"{ours}{process.pid}+{_word(process.started)}+") as path:
        yield path


def _word(started: str | None) -> str:
    return (started or "").replace("/", "-")
