"""Files that may have changed though nothing about them says so, and must be read again.

restic takes a file as unchanged when its times, size and inode are those of the snapshot before. A file system's clock
ticks, every few milliseconds on many kernels: a page written after restic read the file, but within the tick of the
time that restic noted, leaves no trace. A file can be so only if its time lies within that snapshot's own making.
"""

import os
import re
from collections.abc import Iterator
from datetime import timedelta
from fnmatch import fnmatch
from pathlib import Path, PurePosixPath

from drmgr.errors import SourceError
from drmgr.interfaces import Clock
from drmgr.model import Snapshot

SLACK = timedelta(seconds=10)
"""By how much the clocks of host and file system may differ, and a clock may be set back in the middle."""

MOST = 1000
"""With more files in doubt than this, all are read again: naming each one would cost more."""

_PLAIN = re.compile(r"[A-Za-z0-9_./-]+")


def doubtful(directory: Path, left_out: tuple[str, ...], before: Snapshot | None) -> tuple[str, ...] | None:
    """The files to be read again, relative to ``directory``; None when all of them are. Raises SourceError."""
    if before is None or before.ended is None:
        return None
    since, until = ((at + slack).timestamp() for at, slack in ((before.time, -SLACK), (before.ended, SLACK)))
    found: list[str] = []
    try:
        for path, modified in _files(directory, PurePosixPath(), left_out):
            if since <= modified <= until:
                found.append(str(path))
                if len(found) > MOST or not _PLAIN.fullmatch(found[-1]):
                    return None
    except OSError as error:
        raise SourceError(f"{directory} cannot be listed: {error.strerror}") from error
    return tuple(found)


def _files(root: Path, below: PurePosixPath, left_out: tuple[str, ...]) -> Iterator[tuple[PurePosixPath, float]]:
    with os.scandir(root / below) as listed:
        entries = list(listed)
    for entry in entries:
        path = below / entry.name
        if any(_leaves_out(pattern, path) for pattern in left_out):
            continue
        try:
            if entry.is_dir(follow_symlinks=False):
                yield from _files(root, path, left_out)
            elif entry.is_file(follow_symlinks=False):
                yield path, entry.stat(follow_symlinks=False).st_mtime
        except FileNotFoundError:
            # a running server removes files; those need no reading
            continue


def _leaves_out(pattern: str, path: PurePosixPath) -> bool:
    if pattern.startswith("/"):
        return fnmatch(f"/{path}", pattern)
    return fnmatch(path.name, pattern)


class SteadyClock:
    """Proves that the times on files can be compared with those of snapshots, while a backup runs."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._at, self._monotonic = clock.now(), clock.monotonic()

    def refuse_another(self, just_written: Path) -> None:
        """The file system keeps our time: that file was written a moment ago. Raises SourceError."""
        off = abs(just_written.stat().st_mtime - self._clock.now().timestamp())
        if off > (self._clock.monotonic() - self._monotonic) + SLACK.total_seconds() / 2:
            raise SourceError(
                f"the clock of the file system that holds {just_written} differs from this host's by {off:.0f} s",
                hint="set the clocks of host and storage; files that changed could not be told from others",
            )

    def refuse_set_back(self) -> None:
        """Raises SourceError when the clock was set back since this object was made."""
        passed = (self._clock.now() - self._at).total_seconds()
        back = (self._clock.monotonic() - self._monotonic) - passed
        if back > SLACK.total_seconds() / 2:
            raise SourceError(
                f"this host's clock was set back by {back:.0f} s while the files were read",
                hint="back up again: files that changed could not be told from others",
            )
