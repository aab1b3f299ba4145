"""Holds an audit log against its key and against the heads remembered elsewhere. Memory does not grow with the log."""

import hashlib
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO, Final

from drmgr.errors import EvidenceError
from drmgr.model import AuditHead, Json
from drmgr.state.audit_lines import LINE_SCHEMA, TORN_ACT, Anchor, proven, read_object, torn_file

if TYPE_CHECKING:
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

MOST_FINDINGS: Final = 100
"""More are counted but not told: with the wrong key every line is one."""


@dataclass(frozen=True)
class Finding:
    """One place where the log does not hold. ``line`` counts the file's lines from 1; None: it is not in the file."""

    line: int | None
    sequence: int | None
    reason: str


@dataclass
class AuditVerdict:
    """``lines`` of the file, the newest proven ``head``; ``notes`` are not faults."""

    lines: int = 0
    head: AuditHead | None = None
    findings: list[Finding] = field(default_factory=list)
    faults: int = 0
    notes: list[str] = field(default_factory=list)
    accepted: int = 0
    """So many of the faults a person has looked into and lives with; they stay faults."""
    recurring: int = 0
    """So many of the faults are of the log's end as it is now: they are found anew at each look, and may be over at one."""

    @property
    def ok(self) -> bool:
        return self.faults == 0

    @property
    def at_rest(self) -> bool:
        """Whether nothing is wrong that nobody has accepted."""
        return self.faults <= self.accepted

    def find(self, line: int | None, sequence: int | None, reason: str) -> None:
        self.faults += 1
        if len(self.findings) < MOST_FINDINGS:
            self.findings.append(Finding(line, sequence, reason))


@dataclass(frozen=True)
class Against:
    """What lines are held against; ``folder`` is where torn ones are kept."""

    folder: Path
    key: "Ed25519PublicKey"
    anchors: Sequence[Anchor]


@dataclass(frozen=True)
class Before:
    """What is known of the ``size`` bytes before those that are verified: lines, newest proven one, and what was wrong."""

    size: int = 0
    lines: int = 0
    head: AuditHead | None = None
    faults: int = 0
    reason: str = ""


def verify(path: Path, key: "Ed25519PublicKey", anchors: Sequence[Anchor] = ()) -> AuditVerdict:
    """Finds every line that was edited, removed, inserted or moved, and a torn end.

    That the newest lines were cut off, or the whole file put back to an older one, only the ``anchors`` can tell.
    Raises EvidenceError when the file cannot be read.
    """
    against = Against(path.parent, key, anchors)
    try:
        with path.open("rb") as file:
            return verify_lines(file, Before(), against)
    except FileNotFoundError as error:
        if not anchors:
            raise EvidenceError(
                f"there is no audit log at {path}",
                hint="drmgr begins it with the first act; is state the right folder?",
            ) from error
        return _Reader(against, Before()).end()
    except OSError as error:
        raise unreadable(path, error) from error


def verify_lines(
    file: BinaryIO, before: Before, against: Against, *, end: int | None = None, taken: Callable[[bytes], object] = len
) -> AuditVerdict:
    """As ``verify``, after what is known already and up to the byte ``end``; ``taken`` gets each line. Raises OSError."""
    reader = _Reader(against, before)
    place = file.seek(before.size)
    for number, raw in enumerate(file, start=before.lines + 1):
        place += len(raw)
        if end is not None and place > end:
            break
        reader.take(number, raw)
        taken(raw)
    return reader.end()


def last_lines(path: Path, count: int) -> list[dict[str, Json]]:
    """The newest lines, oldest first, as they stand; lines that are no JSON are left out. Raises EvidenceError."""
    try:
        with path.open("rb") as file:
            newest = deque(file, maxlen=count)
    except FileNotFoundError:
        return []
    except OSError as error:
        raise unreadable(path, error) from error
    return [found for line in newest if (found := read_object(line)) is not None]


@dataclass(frozen=True)
class _Early:
    """A line with a higher number than its place asks for. What follows tells: are lines missing, or is it misplaced?"""

    line: int
    head: AuditHead
    gap: range
    unsound: int


class _Reader:
    """What is known after each line. The verdict's ``head`` is the newest line in its place.

    ``unsound`` counts the lines since then that prove nothing; each may have stood for one number.
    """

    def __init__(self, against: Against, before: Before) -> None:
        findings = [Finding(None, None, before.reason)] if before.faults else []
        self.verdict = AuditVerdict(before.lines, before.head, findings, before.faults)
        self._folder = against.folder
        self._key = against.key
        self._anchors: dict[int, list[Anchor]] = {}
        for anchor in against.anchors:
            self._anchors.setdefault(anchor.head.sequence, []).append(anchor)
        self._unsound = 0
        self._early: _Early | None = None
        self._misplaced: set[int] = set()
        self._missing: list[range] = []
        if before.head is not None:
            self._against_anchors(before.lines, before.head)
            self.verdict.recurring = self.verdict.faults - before.faults

    def take(self, number: int, raw: bytes) -> None:
        self.verdict.lines = number
        if not raw.endswith(b"\n"):
            self.verdict.find(number, None, f"line {number} is torn: its end is missing")
            return
        line = raw[:-1]
        try:
            content = proven(line, LINE_SCHEMA, self._key)
            here = AuditHead(content["log"], content["sequence"], hashlib.sha256(line).hexdigest())
            previous = content["previous"]
        except (ValueError, LookupError, TypeError) as error:
            reason = str(error) if isinstance(error, ValueError) else "it lacks what every line has"
            self.verdict.find(number, None, f"line {number} is not sound: {reason}")
            self._unsound += 1
            return
        self._judge_early(here, previous)
        self._place(number, here, previous)
        self._against_anchors(number, here)
        if content["act"] == TORN_ACT:
            self._torn_kept(number, content["detail"])

    def end(self) -> AuditVerdict:
        if self._early is not None:
            self._jump(self._early)
        for gap in self._missing:
            self.verdict.find(None, gap.start, f"{_numbers(gap)} missing from the log")
        lines = self.verdict.faults
        self._against_furthest()
        self.verdict.recurring += self.verdict.faults - lines
        return self.verdict

    def _judge_early(self, here: AuditHead, previous: str | None) -> None:
        early, self._early = self._early, None
        if early is None:
            return
        if self._follows(here, previous):
            reason = (
                f"line {early.line} is out of its place: no. {early.head.sequence} stands before no. {here.sequence}"
            )
            self.verdict.find(early.line, early.head.sequence, reason)
            self._misplaced.add(early.head.sequence)
            self._unsound += early.unsound
        else:
            self._jump(early)

    def _jump(self, early: _Early) -> None:
        self._missing.append(early.gap)
        self.verdict.head = early.head

    def _follows(self, here: AuditHead, previous: str | None) -> bool:
        last = self.verdict.head
        if last is None:
            return here.sequence == 1 and previous is None
        return here.sequence == last.sequence + 1 and previous == last.sha256

    def _place(self, number: int, here: AuditHead, previous: str | None) -> None:
        last = self.verdict.head
        before = 0 if last is None else last.sequence
        if last is not None and here.log != last.log:
            self.verdict.find(number, here.sequence, f"line {number} is of another log")
        elif here.sequence <= before:
            self.verdict.find(number, here.sequence, self._late(number, here.sequence))
        else:
            first = before + 1 + self._unsound
            while first in self._misplaced:
                first += 1
            if here.sequence > first:
                self._early = _Early(number, here, range(first, here.sequence), self._unsound)
            else:
                if here.sequence == before + 1 and not self._follows(here, previous):
                    reason = (
                        f"line {number} (no. {here.sequence}) does not follow the line before it: one was exchanged"
                    )
                    self.verdict.find(number, here.sequence, reason)
                self.verdict.head = here
            self._unsound = 0

    def _late(self, number: int, sequence: int) -> str:
        for gap in self._missing:
            if sequence in gap:
                self._missing.remove(gap)
                rest = (range(gap.start, sequence), range(sequence + 1, gap.stop))
                self._missing.extend(part for part in rest if part)
                return f"line {number} is out of its place: no. {sequence} stands after a newer one"
        return f"line {number} was inserted: no. {sequence} is there already"

    def _against_anchors(self, number: int, here: AuditHead) -> None:
        for anchor in self._anchors.get(here.sequence, ()):
            if anchor.head != here:
                reason = f"line {number} (no. {here.sequence}) is not the one that {anchor.where} holds"
                self.verdict.find(number, here.sequence, reason)

    def _against_furthest(self) -> None:
        # lines that are not sound are told already, and so are the missing ones between sound ones
        last = (0 if self.verdict.head is None else self.verdict.head.sequence) + self._unsound
        while last + 1 in self._misplaced:
            last += 1
        furthest = max(self._anchors, default=0)
        if furthest > last:
            gap, where = range(last + 1, furthest + 1), self._anchors[furthest][0].where
            reason = f"the log was cut off or put back to an older one: {_numbers(gap)} missing, which {where} knows"
            self.verdict.find(None, gap.start, reason)

    def _torn_kept(self, number: int, detail: Json) -> None:
        digest = str(detail["sha256"])
        try:
            with (self._folder / torn_file(digest)).open("rb") as file:
                kept = hashlib.file_digest(file, "sha256").hexdigest() == digest
        except OSError:
            kept = False
        if kept:
            self.verdict.notes.append(f"before line {number} a crash tore a line; it is kept in {torn_file(digest)}")
        else:
            self.verdict.find(
                number, None, f"line {number} tells of a torn line, but {torn_file(digest)} does not hold it"
            )


def _numbers(gap: range) -> str:
    return f"no. {gap.start} is" if len(gap) == 1 else f"no. {gap.start} to {gap.stop - 1} are"


def unreadable(path: Path, error: OSError) -> EvidenceError:
    """The error for a log, or what belongs to it, that cannot be read."""
    return EvidenceError(
        f"the audit log {path} cannot be read: {(error.strerror or type(error).__name__).lower()}",
        hint="give drmgr's account the right to read it",
    )
