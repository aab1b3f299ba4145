"""Files that a process keeps locked for as long as it lives: the kernel lets go when it dies."""

import fcntl
import os
from contextlib import suppress
from pathlib import Path

from drmgr.errors import PreflightError


class Marks:
    """Tells whether the process behind a run or a folder lives, whatever its host was called when that began."""

    def __init__(self, directory: Path) -> None:
        self._directory = directory
        self._held: dict[str, int] = {}

    def set(self, name: str) -> None:
        """From now on until ``clear``, or the end of this process. Raises PreflightError."""
        # under another name at first: nobody may find it before it is locked
        begun = self._directory / f".{name}"
        try:
            self._directory.mkdir(parents=True, exist_ok=True, mode=0o700)
            self._held[name] = handle = os.open(begun, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
            begun.rename(self._directory / name)
        except OSError as error:
            raise state_unusable(self._directory, error) from error

    def clear(self, name: str) -> None:
        """What the mark stood for has ended; also for one that others had set."""
        # a mark that cannot be removed does no harm: only those of open runs are asked for
        with suppress(OSError):
            (self._directory / name).unlink()
        handle = self._held.pop(name, None)
        if handle is not None:
            os.close(handle)

    def held(self, name: str) -> bool | None:
        """Whether a living process holds the mark; None: there is none here. Raises PreflightError."""
        try:
            handle = os.open(self._directory / name, os.O_RDWR | os.O_CLOEXEC)
        except FileNotFoundError:
            return None
        except PermissionError:
            # of another account, whose own drmgr can tell
            return True
        except OSError as error:
            raise state_unusable(self._directory, error) from error
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return True
        except OSError as error:
            raise state_unusable(self._directory, error) from error
        finally:
            os.close(handle)
        return False


def state_unusable(directory: Path, error: OSError) -> PreflightError:
    """The error for a state directory that cannot be read or written."""
    return PreflightError(
        f"the state directory cannot be used: {(error.strerror or type(error).__name__).lower()}",
        hint=f"give drmgr's account the right to write, and free space, in {directory}",
    )
