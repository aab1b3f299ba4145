"""The audit log: one signed line for every act that reads or changes backup data, each line chained to the one before it."""

import hashlib
import os
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Final, Protocol

from filelock import FileLock, Timeout
from ulid import ULID

from drmgr.errors import EvidenceError
from drmgr.interfaces import Clock
from drmgr.model import AuditHead, AuditResult, Json
from drmgr.state.audit_lines import LINE_SCHEMA, TORN_ACT, head_of, signed, torn_file
from drmgr.system.clock import rfc3339
from drmgr.system.files import sync_directory, write_atomically

if TYPE_CHECKING:
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

WAIT_SECONDS: Final = 60.0
_BLOCK: Final = 64 * 1024


@dataclass(frozen=True)
class Actor:
    """Who acts: the person, the account, the machine."""

    operator: str
    host: str


class Heads(Protocol):
    """Where the newest line is remembered outside the log, so that a log cut short shows."""

    def audit_head(self, host: str) -> AuditHead | None: ...

    def remember_audit_head(self, host: str, head: AuditHead) -> None: ...


class AuditLog:
    """The audit of interfaces.Audit, as the file ``path``; torn lines are kept beside it.

    Nothing in it is ever repaired. A line that a crash tore is put aside and the log says so; when the log is shorter
    than its remembered head, it goes on with the head's next number, so that the missing lines are seen for ever.
    """

    def __init__(
        self, path: Path, actor: Actor, private_key: Callable[[], "Ed25519PrivateKey"], heads: Heads, clock: Clock
    ) -> None:
        self.path = path
        self._directory = path.parent
        self._actor = actor
        self._private_key = private_key
        self._heads = heads
        self._clock = clock

    def record(
        self,
        act: str,
        system: str,
        result: AuditResult,
        *,
        why: str = "",
        run: str | None = None,
        error: str | None = None,
        detail: Mapping[str, Json] | None = None,
    ) -> None:
        """Appends one line and returns once it is durable. Raises EvidenceError, KeystoreError, PreflightError."""
        # outside the lock: to open the keystore takes its time
        key = self._private_key()
        said = _said(act, system, result, why=why, run=run, error=error, detail=detail)
        with self._locked():
            last, torn = self._ending()
            head = self._furthest(last)
            if torn:
                head = self._append(key, head, self._put_aside(torn))
            self._append(key, head, said)

    def _append(self, key: "Ed25519PrivateKey", head: AuditHead | None, said: dict[str, Json]) -> AuditHead:
        sequence = 1 if head is None else head.sequence + 1
        log = str(ULID()) if head is None else head.log
        who = {
            "operator": self._actor.operator,
            "uid": os.getuid(),
            "host": self._actor.host,
            "pid": os.getpid(),
        }
        line = signed(
            {
                "schema": LINE_SCHEMA,
                "log": log,
                "sequence": sequence,
                "at": rfc3339(self._clock.now()),
                "who": who,
                **said,
                "previous": None if head is None else head.sha256,
            },
            key,
        )
        self._write(line + b"\n")
        written = AuditHead(log, sequence, hashlib.sha256(line).hexdigest())
        # after the line: a log may be ahead of what is remembered, never behind it
        self._heads.remember_audit_head(self._actor.host, written)
        return written

    def _write(self, content: bytes) -> None:
        try:
            handle = os.open(self.path, os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC, 0o600)
            try:
                before = os.fstat(handle).st_size
                try:
                    _write_all(handle, content)
                    os.fsync(handle)
                except OSError:
                    # half a line, as on a full disk, must not stay where the next one is to stand
                    with suppress(OSError):
                        os.ftruncate(handle, before)
                    raise
            finally:
                os.close(handle)
            sync_directory(self._directory)
        except OSError as error:
            raise self._unusable(error) from error

    def _furthest(self, last: bytes | None) -> AuditHead | None:
        """The line to go on from: the last one, or the remembered one if the log has fallen behind it."""
        remembered = self._heads.audit_head(self._actor.host)
        here = None if last is None else head_of(last)
        if here is None and remembered is None and last is not None:
            raise EvidenceError(
                "the last line of the audit log is none that drmgr wrote",
                hint="see what was changed with: drmgr audit verify; keep the file, then move it away",
            )
        if here is None or (remembered is not None and here.sequence <= remembered.sequence):
            return remembered
        return here

    def _put_aside(self, torn: bytes) -> dict[str, Json]:
        """Moves what stands after the last end of line into a file of its own; what the log is to say of it."""
        digest = hashlib.sha256(torn).hexdigest()
        try:
            write_atomically(self._directory / torn_file(digest), torn)
            os.truncate(self.path, self.path.stat().st_size - len(torn))
        except OSError as error:
            raise self._unusable(error) from error
        detail: dict[str, Json] = {"bytes": len(torn), "sha256": digest}
        return _said(TORN_ACT, "", AuditResult.INTERRUPTED, why="a line was begun and not finished", detail=detail)

    def _ending(self) -> tuple[bytes | None, bytes]:
        """The last whole line without its end, and the torn bytes after it."""
        tail = b""
        try:
            with self.path.open("rb") as file:
                position = file.seek(0, os.SEEK_END)
                while position > 0 and tail.count(b"\n") < 2:  # noqa: PLR2004 - its own end and that of the line before
                    step = min(_BLOCK, position)
                    position = file.seek(position - step)
                    tail = file.read(step) + tail
        except FileNotFoundError:
            return None, b""
        except OSError as error:
            raise self._unusable(error) from error
        whole, end, torn = tail.rpartition(b"\n")
        return (whole.rpartition(b"\n")[2] if end else None), torn

    @contextmanager
    def _locked(self) -> Iterator[None]:
        lock = FileLock(self._directory / f".{self.path.name}.lock", timeout=WAIT_SECONDS, mode=0o600)
        try:
            self._directory.mkdir(parents=True, exist_ok=True, mode=0o700)
            lock.acquire()
        except Timeout as error:
            raise EvidenceError(
                "another process has been writing the audit log for too long",
                hint=f"look for a drmgr that hangs, then try again; the log is {self.path}",
            ) from error
        except OSError as error:
            raise self._unusable(error) from error
        try:
            yield
        finally:
            lock.release()

    def _unusable(self, error: OSError) -> EvidenceError:
        return EvidenceError(
            f"the audit log cannot be written: {(error.strerror or type(error).__name__).lower()}",
            hint=f"give drmgr's account the right to write, and free space, in {self._directory}",
        )


def _said(
    act: str,
    system: str,
    result: AuditResult,
    *,
    why: str = "",
    run: str | None = None,
    error: str | None = None,
    detail: Mapping[str, Json] | None = None,
) -> dict[str, Json]:
    return {
        "act": act,
        "system": system,
        "result": result.value,
        "why": why,
        "run": run,
        "error": error,
        "detail": dict(detail or {}),
    }


def _write_all(handle: int, content: bytes) -> None:
    left = memoryview(content)
    while left:
        left = left[os.write(handle, left) :]
