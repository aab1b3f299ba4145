"""The nouns: what drmgr talks about. Values only, no I/O. The words are those of docs/architecture.md."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from enum import IntEnum, StrEnum
from pathlib import Path
from typing import Any, Literal

Json = Any
"""A value that JSON can hold: None, bool, int, float, str, list, dict with str keys."""


class RunKind(StrEnum):
    BACKUP = "backup"
    RESTORE = "restore"
    DRILL = "drill"
    REPO_CHECK = "repo-check"
    SHIP = "ship"


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
    """One business system, as its job declares it."""

    id: str
    title: Text
    tier: int
    objectives: Objectives


# --- what a backup is made of -----------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Stream:
    """A command whose standard output is stored as one file, and only if the command succeeds."""

    part: str
    argv: tuple[str, ...]
    filename: str
    env: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Tree:
    """A folder stored with all below it; paths in the snapshot are relative to ``root``.

    ``excludes`` are restic patterns, relative to ``root`` when they hold a slash. ``only`` are names below ``root``; empty
    means all of it. ``live``: files may vanish while they are read, and then they do not count as unreadable.
    """

    part: str
    root: Path
    excludes: tuple[str, ...] = ()
    one_file_system: bool = False
    only: tuple[str, ...] = ()
    live: bool = False


Payload = Stream | Tree


@dataclass(frozen=True)
class Entry:
    """One regular file as a snapshot lists it; ``modified`` in nanoseconds since 1970.

    ``path`` is relative to the root and UTF-8; bytes of it that are not come as lone surrogates (PEP 383).
    """

    path: str
    size: int
    modified: int


@dataclass(frozen=True)
class Snapshot:
    """One restic snapshot: full id, when, tags, and how many files and bytes it holds."""

    id: str
    time: datetime
    tags: tuple[str, ...] = ()
    files: int = 0
    bytes: int = 0
    bytes_added: int = 0
    complete: bool = True
    unreadable: tuple[str, ...] = ()


@dataclass(frozen=True)
class Listing:
    """The snapshots of a repository, oldest first, and the ids of those that are there but cannot be read."""

    snapshots: tuple[Snapshot, ...]
    damaged: tuple[str, ...] = ()


@dataclass(frozen=True)
class Facts:
    """What was true of a source at ``taken_at``, the very instant of its backup.

    ``groups`` maps a group (``tables``, ``sequences``, ``roles`` …) to its items. Items are compared for equality by
    checks/facts.py, but for groups with a rule of their own named there. ``seconds`` is what taking them cost.
    """

    engine: str
    taken_at: datetime
    groups: Mapping[str, Mapping[str, Json]]
    seconds: float = 0.0


@dataclass(frozen=True)
class Part:
    """One snapshot of a source: a PostgreSQL source has ``dump`` and ``globals``, a file tree ``files`` and ``manifest``."""

    name: str
    snapshot: str
    files: int
    bytes: int
    bytes_added: int = 0
    seconds: float = 0.0


@dataclass(frozen=True)
class Member:
    """One source inside a recovery point. The first part is the main one."""

    source: str
    engine: str
    consistent_at: datetime
    parts: tuple[Part, ...]
    facts: Facts
    complete: bool = True
    unreadable: int = 0
    seconds: float = 0.0

    @property
    def snapshot(self) -> str:
        return self.parts[0].snapshot

    @property
    def bytes(self) -> int:
        return sum(part.bytes for part in self.parts)

    @property
    def bytes_added(self) -> int:
        return sum(part.bytes_added for part in self.parts)


@dataclass(frozen=True)
class RecoveryPoint:
    """All sources of one system, sealed together.

    ``consistent_at`` is the oldest of its members' instants: everything before it is surely inside.
    """

    id: str
    system: str
    run: str
    created_at: datetime
    consistent_at: datetime
    status: PointStatus
    members: tuple[Member, ...]
    tools: Mapping[str, str]
    host: str

    def member(self, source: str) -> Member:
        """The member of that source. Raises KeyError."""
        for member in self.members:
            if member.source == source:
                return member
        raise KeyError(source)


@dataclass(frozen=True)
class LogFile:
    """One whole file of a source's log, by the name its server gave it."""

    name: str
    size: int
    sha256: str


@dataclass(frozen=True)
class LogBatch:
    """Log files without a gap between them.

    ``chain`` tells one server's log from another's. Files are numbered along a ``timeline``, which a server leaves when
    it is recovered or promoted; positions grow along it. A replay of the batch reaches every time before ``until`` and
    every position up to ``position``, both those of the last transaction that ended in it. ``marks`` are named instants
    and their positions.
    """

    chain: str
    timeline: int
    first: int
    last: int
    until: datetime | None
    position: int
    marks: Mapping[str, int]
    files: tuple[LogFile, ...]


# --- what a restore is made of ----------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Instance:
    """Where restored data can be asked questions: a database server, or a folder (``path``).

    ``socket`` is the directory of a unix socket; ``host`` is a network name and is None for scratch, always. The
    password lies in ``passfile`` (libpq format, 0600). ``manifest`` lists a file tree's hashes.
    """

    engine: str
    database: str = ""
    socket: Path | None = None
    host: str | None = None
    port: int | None = None
    user: str = ""
    passfile: Path | None = None
    path: Path | None = None
    manifest: Path | None = None


@dataclass(frozen=True)
class RecoveryTarget:
    """The instant that logs are replayed to. ``value`` is an RFC 3339 time, the name of a restore point, or a position."""

    kind: Literal["time", "name", "position"]
    value: str


@dataclass(frozen=True)
class Recipe:
    """What a scratch instance must be like to take in a source: taken from the source's facts.

    ``restored`` is set for an engine whose instance is made of the restored parts themselves; ``target`` is how far that
    one replays its logs.
    """

    source: str
    engine: str
    version: str = ""
    database: str = ""
    settings: Mapping[str, str] = field(default_factory=dict)
    restored: Path | None = None
    target: RecoveryTarget | None = None


class NotRestored(LookupError):
    """A source that was left out of this restore, so that a check on it cannot be made."""


@dataclass(frozen=True)
class Restored:
    """A system brought back: one instance per source, and the point it came from."""

    point: RecoveryPoint
    instances: Mapping[str, Instance]
    objectives: Objectives

    def instance(self, source: str) -> Instance:
        """Where that source can be questioned. Raises NotRestored."""
        if source not in self.instances:
            raise NotRestored(source)
        return self.instances[source]


@dataclass(frozen=True)
class CheckResult:
    """One proof. ``expected`` and ``actual`` hold numbers, dates and hashes, never rows of data."""

    name: str
    status: CheckStatus
    level: Level
    expected: Json = None
    actual: Json = None
    seconds: float = 0.0
    source: str = ""
    title: Text | None = None
    message: str = ""


@dataclass(frozen=True)
class Phase:
    """One step of a restore, with its real start and end."""

    name: str
    started_at: datetime
    finished_at: datetime
    seconds: float
    system: str = ""
    source: str = ""
    ok: bool = True


@dataclass(frozen=True)
class Destruction:
    """Proof that scratch data is gone: what was there, and that it no longer is."""

    path: str
    files: int
    bytes: int
    processes_ended: int
    gone: bool
    at: datetime


@dataclass(frozen=True)
class Timeline:
    """T0 fault, T1 noticed, T2 accepted, T3 decided, T4 restore starts, T5 data usable, T6 business verified.

    None: not reached. In a drill T1 to T3 equal T0, for nobody had to notice or decide.
    """

    t0: datetime
    t1: datetime | None = None
    t2: datetime | None = None
    t3: datetime | None = None
    t4: datetime | None = None
    t5: datetime | None = None
    t6: datetime | None = None


@dataclass(frozen=True)
class Measure:
    """An objective against what was measured, in seconds; ``measured`` None means it was never reached, hence not met."""

    target: float
    measured: float | None

    @property
    def met(self) -> bool:
        return self.measured is not None and self.measured <= self.target


@dataclass(frozen=True)
class Outcome:
    """What became of one system in a drill or restore."""

    system: System
    verdict: Verdict
    level: Level
    timeline: Timeline
    rto: Measure
    rpo: Measure
    point: RecoveryPoint | None
    checks: tuple[CheckResult, ...] = ()
    phases: tuple[Phase, ...] = ()
    error: Mapping[str, Json] | None = None
    """``{"code", "message", "hint"}`` of what stopped it."""


@dataclass(frozen=True)
class DrillRecord:
    """Everything one drill or restore leaves behind; evidence/build.py turns it into the signed document."""

    run: str
    kind: RunKind
    occasion: OccasionKind
    name: str
    title: Text
    scenario: str
    form: str
    site: Text
    started_at: datetime
    finished_at: datetime
    verdict: Verdict
    level: Level
    outcomes: tuple[Outcome, ...]
    destruction: tuple[Destruction, ...]
    target: str
    host: str
    operator: str
    reason: str
    tools: Mapping[str, str]
    timezone: str
    approval: str = ""


@dataclass(frozen=True)
class CheckReport:
    """What looking through a repository found: level 0."""

    ok: bool
    errors: int
    broken_packs: tuple[str, ...]
    bytes_read_share: float
    seconds: float
    messages: tuple[str, ...] = ()


@dataclass(frozen=True)
class Run:
    """One recorded execution."""

    id: str
    kind: RunKind
    system: str
    status: RunStatus
    started_at: datetime
    finished_at: datetime | None = None
    detail: Mapping[str, Json] = field(default_factory=dict)
    error: Mapping[str, Json] | None = None


@dataclass(frozen=True)
class EvidenceEntry:
    """A sealed document as the catalog remembers it; ``sha256`` is of the envelope file."""

    id: str
    run: str
    sequence: int
    name: str
    verdict: Verdict
    sealed_at: datetime
    path: str
    sha256: str


@dataclass(frozen=True)
class AuditHead:
    """A line of the audit log: which log, the line's number in it, SHA-256 of the line's bytes without their end."""

    log: str
    sequence: int
    sha256: str
