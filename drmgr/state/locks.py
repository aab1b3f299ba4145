"""One holder at a time on this host, by flock: the kernel lets go for a process that dies."""

import json
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from urllib.parse import quote

from filelock import FileLock, Timeout

from drmgr.errors import LockedError, PreflightError
from drmgr.interfaces import Clock
from drmgr.system.clock import SystemClock, rfc3339
from drmgr.system.files import write_atomically
from drmgr.system.process import ProcessIdentity, is_alive, this_process


class FileLocks:
    """The locks of interfaces.Locks, as files in ``directory``; ``kind`` tells others what the holder is doing."""

    def __init__(self, directory: Path, kind: str = "run", clock: Clock | None = None) -> None:
        self._directory = directory
        self._kind = kind
        self._clock = clock or SystemClock()

    @contextmanager
    def hold(self, name: str) -> Iterator[None]:
        """Holds the lock for the block. Raises LockedError at once when another holds it, in this process or elsewhere.

        Raises PreflightError when the directory cannot be used.
        """
        stem = quote(name, safe="")
        note = self._directory / f"{stem}.holder.json"
        # a new object each time: one and the same would let its process in twice
        lock = FileLock(self._directory / f"{stem}.lock", blocking=False, mode=0o600)
        try:
            self._directory.mkdir(parents=True, exist_ok=True)
            lock.acquire()
        except Timeout as error:
            raise LockedError(f"{name} is in use by {_holder(note)}") from error
        except OSError as error:
            raise self._unusable(error) from error
        try:
            self._write_note(note)
            yield
        finally:
            # a note that cannot be removed does no harm: readers ask whether its process lives
            with suppress(OSError):
                note.unlink()
            lock.release()

    def _write_note(self, note: Path) -> None:
        process = this_process()
        content = {
            "pid": process.pid,
            "host": process.host,
            "started": process.started,
            "kind": self._kind,
            "since": rfc3339(self._clock.now()),
        }
        try:
            write_atomically(note, json.dumps(content).encode())
        except OSError as error:
            raise self._unusable(error) from error

    def _unusable(self, error: OSError) -> PreflightError:
        return PreflightError(
            f"a lock cannot be taken: {(error.strerror or type(error).__name__).lower()}",
            hint=f"give drmgr's account the right to write, and free space, in {self._directory}",
        )


def _holder(note: Path) -> str:
    """The holder in words. The note may be missing, or be left from a process that died, while a new holder writes its own."""
    try:
        content = json.loads(note.read_text(encoding="utf-8"))
        process = ProcessIdentity(host=content["host"], pid=content["pid"], started=content["started"])
        words = f"a {content['kind']} of process {process.pid} on {process.host} since {content['since']}"
    except (OSError, ValueError, KeyError, TypeError):
        return "another process, which has only just begun"
    same_host = process.host == this_process().host
    return words if not same_host or is_alive(process) else "another process, which has only just begun"
