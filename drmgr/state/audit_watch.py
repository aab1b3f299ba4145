"""Proves the audit log again and again without verifying each signature again: by a signed note of what was proven before."""

import hashlib
import os
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from datetime import datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO, Final

from drmgr.errors import EvidenceError
from drmgr.model import AuditHead
from drmgr.state.audit_lines import Anchor, proven, signed
from drmgr.state.audit_verify import Against, AuditVerdict, Before, unreadable, verify, verify_lines
from drmgr.system.clock import rfc3339
from drmgr.system.files import write_atomically

if TYPE_CHECKING:
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey

NOTE_SCHEMA: Final = "drmgr/audit-proven/1"

EVERY_TIME: Final = 64 << 20
"""Bytes of a log, a good hundred thousand lines, that are read as a whole at each look: that takes a tenth of a second."""

AT_LEAST: Final = timedelta(hours=1)
"""How often a longer one is."""

_BLOCK: Final = 1 << 20


@dataclass(frozen=True)
class _Note:
    """What was found ``before`` its place, in bytes of that SHA-256; ``at`` is when all of them were read last.

    So many of the faults there as ``accepted`` says a person lives with; true of those very bytes only.
    """

    sha256: str
    before: Before
    at: datetime
    accepted: int = 0


class AuditWatch:
    """Looks whether the log is still what was written; ``note`` keeps how far it was proven, so that the next look is quick.

    The note is signed by the log's own key: who has not got it can but remove the note or put an older one back, and then more
    of the log is verified line by line.
    """

    def __init__(self, log: Path, note: Path, key: "Ed25519PrivateKey", every_time: int = EVERY_TIME) -> None:
        self._log = log
        self._note = note
        self._key = key
        self._public: Ed25519PublicKey = key.public_key()
        self._every_time = every_time

    def look(self, anchors: Sequence[Anchor], now: datetime) -> AuditVerdict:
        """All that is wrong, as far as the log and the ``anchors`` tell; these must have been asked for before.

        A line that was begun and not finished is none yet. Raises EvidenceError when log or note cannot be read or written.
        """
        note = self._read()
        if note is not None and note.before.head is not None:
            anchors = (*anchors, Anchor(f"the note of {rfc3339(note.at)}", note.before.head))
        try:
            with self._log.open("rb") as file:
                return self._look(file, note, anchors, now)
        except FileNotFoundError:
            return verify(self._log, self._public, anchors)
        except OSError as error:
            raise unreadable(self._log, error) from error

    def accept(self, anchors: Sequence[Anchor], now: datetime) -> AuditVerdict:
        """Verifies the whole log, and has all that is wrong in it by now no longer be trouble. The faults stay.

        Raises EvidenceError when log or note cannot be read or written.
        """
        try:
            with self._log.open("rb") as file:
                size, whole = _end_of_lines(file), hashlib.sha256()
                against = Against(self._log.parent, self._public, anchors)
                verdict = verify_lines(file, Before(), against, end=size, taken=whole.update)
        except OSError as error:
            raise unreadable(self._log, error) from error
        verdict.accepted = verdict.faults
        self._note_down(whole.hexdigest(), size, verdict, now)
        return verdict

    def _look(self, file: BinaryIO, note: _Note | None, anchors: Sequence[Anchor], now: datetime) -> AuditVerdict:
        size, whole = _end_of_lines(file), hashlib.sha256()
        against = Against(self._log.parent, self._public, anchors)
        before = Before() if note is None or size < note.before.size else note.before
        if note is not None and before.size:
            if size > self._every_time and timedelta(0) <= now - note.at < AT_LEAST:
                recent = verify_lines(file, before, against, end=size)
                recent.accepted = note.accepted
                return recent
            for block in _blocks(file, before.size):
                whole.update(block)
            if whole.hexdigest() != note.sha256:
                return _changed(note)
        verdict = verify_lines(file, before, against, end=size, taken=whole.update)
        verdict.accepted = note.accepted if note is not None and before.size else 0
        self._note_down(whole.hexdigest(), size, verdict, now)
        return verdict

    def _note_down(self, sha256: str, size: int, verdict: AuditVerdict, now: datetime) -> None:
        reason = verdict.findings[0].reason if verdict.faults else ""
        before = Before(size, verdict.lines, verdict.head, verdict.faults - verdict.recurring, reason)
        self._write(_Note(sha256, before, now, verdict.accepted))

    def _write(self, note: _Note) -> None:
        content = {
            "sha256": note.sha256,
            "before": asdict(note.before),
            "at": rfc3339(note.at),
            "accepted": note.accepted,
        }
        try:
            write_atomically(self._note, signed({"schema": NOTE_SCHEMA, **content}, self._key))
        except OSError as error:
            raise EvidenceError(
                f"how far the audit log was proven cannot be noted: {(error.strerror or type(error).__name__).lower()}",
                hint=f"give drmgr's account the right to write, and free space, in {self._note.parent}",
            ) from error

    def _read(self) -> _Note | None:
        """None when there is none that this account can read and this key signed: then all is verified anew."""
        try:
            found = proven(self._note.read_bytes(), NOTE_SCHEMA, self._public)
        except (FileNotFoundError, PermissionError, ValueError):
            return None
        except OSError as error:
            raise unreadable(self._note, error) from error
        told = found["before"]
        head = None if told["head"] is None else AuditHead(**told["head"])
        before = Before(**{**told, "head": head})
        return _Note(found["sha256"], before, datetime.fromisoformat(found["at"]), found["accepted"])


def _changed(note: _Note) -> AuditVerdict:
    verdict = AuditVerdict()
    verdict.find(None, None, f"lines were changed, inserted or removed that were proven at {rfc3339(note.at)}")
    return verdict


def _end_of_lines(file: BinaryIO) -> int:
    """The bytes up to the end of the last whole line."""
    position = file.seek(0, os.SEEK_END)
    while position > 0:
        step = min(_BLOCK, position)
        position = file.seek(position - step)
        end = file.read(step).rfind(b"\n")
        if end >= 0:
            return position + end + 1
    return 0


def _blocks(file: BinaryIO, size: int) -> Iterator[bytes]:
    file.seek(0)
    while size > 0 and (block := file.read(min(_BLOCK, size))):
        size -= len(block)
        yield block
