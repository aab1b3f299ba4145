"""The words that all others use: kinds, states and levels, and what a system is."""

from dataclasses import dataclass
from datetime import timedelta
from enum import IntEnum, StrEnum
from typing import Any

Json = Any
"""A value that JSON can hold: None, bool, int, float, str, list, dict with str keys."""


class Digits(str):
    """A decimal number as JSON can hold it without loss: its digits, such as 12.50. A text of the same spelling is none."""

    __slots__ = ()


class RunKind(StrEnum):
    BACKUP = "backup"
    RESTORE = "restore"
    DRILL = "drill"
    REPO_CHECK = "repo-check"
    SHIP = "ship"
    PROTECT = "protect"
    REWIND = "rewind"
    COPY = "copy"
    EXPIRE = "expire"
    RENEW_KEYS = "renew-keys"
    INCIDENT_NOTE = "incident-note"


class RunStatus(StrEnum):
    """``interrupted`` is also given to a run that was left open by a process that is gone."""

    RUNNING = "running"
    OK = "ok"
    INCOMPLETE = "incomplete"
    FAILED = "failed"
    INTERRUPTED = "interrupted"


class AuditResult(StrEnum):
    """How an act stands when its line of the audit log is written. The words of RunStatus, but for ``started``."""

    STARTED = "started"
    OK = "ok"
    INCOMPLETE = "incomplete"
    FAILED = "failed"
    INTERRUPTED = "interrupted"


class PointStatus(StrEnum):
    """An ``incomplete`` point lacks files that could not be read; it is shown, but ``latest`` never chooses it."""

    COMPLETE = "complete"
    INCOMPLETE = "incomplete"


class CheckStatus(StrEnum):
    PASS = "pass"
    FAIL = "fail"
    ERROR = "error"
    SKIPPED = "skipped"


class Verdict(StrEnum):
    """``failed``: something was proven not to hold. ``error``: the proof itself could not be made. Neither is a pass."""

    PASSED = "passed"
    FAILED = "failed"
    ERROR = "error"


class Level(IntEnum):
    """How deep a restore was verified; each level includes those below it."""

    STRUCTURE = 0
    OPENS = 1
    INTEGRITY = 2
    FACTS = 3
    BUSINESS = 4
    ACROSS = 5
    NEGATIVE_CONTROL = 6


class OccasionKind(StrEnum):
    """What a report is about; the three are never mixed up (REQUIREMENTS: drill, simulation, real incident)."""

    DRILL = "drill"
    SIMULATION = "simulation"
    INCIDENT = "incident"


@dataclass(frozen=True)
class Text:
    """A name in both languages of the reports."""

    zh: str
    en: str


@dataclass(frozen=True)
class Objectives:
    """What was promised: at most ``rpo`` of data lost, back within ``rto``."""

    rpo: timedelta
    rto: timedelta


@dataclass(frozen=True)
class System:
    """One business system, as its job declares it; ``depends_on`` are those that it cannot work without."""

    id: str
    title: Text
    tier: int
    objectives: Objectives
    depends_on: tuple[str, ...] = ()
