"""What a restore is made of: instances, checks, times, and the record of what became of it."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Literal

from drmgr.model.backup import RecoveryPoint
from drmgr.model.inplace import Swap
from drmgr.model.tables import LaidAs
from drmgr.model.words import CheckStatus, Json, Level, Objectives, OccasionKind, RunKind, System, Text, Verdict


@dataclass(frozen=True)
class RecoveryTarget:
    """The instant that logs are replayed to. ``value`` is an RFC 3339 time, the name of a restore point, or a position."""

    kind: Literal["time", "name", "position"]
    value: str


@dataclass(frozen=True)
class Instance:
    """Where restored data can be asked questions: a database server, or a folder (``path``).

    ``socket`` is the directory of a unix socket; ``host`` is a network name and is None for scratch, always, but for SQL
    Server, whose scratch server the site file names. The password lies in ``passfile`` (0600, in the form that the
    engine's own programs read). ``manifest`` lists a file tree's hashes. ``target`` is how far an engine that replays logs
    while it loads goes.
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
    target: RecoveryTarget | None = None


@dataclass(frozen=True)
class Newer:
    """How many files of a tree are newer than asked; ``all``: leaving out the others would save nothing."""

    files: int
    all: bool


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
    reached: datetime | None = None
    """The instant that the logs were replayed to; None when the data are those of the point itself."""
    ends: datetime | None = None
    """No data are later, where no one instant says so: logs replayed to a position or a name, a source in use again."""

    def instant(self, source: str) -> datetime:
        """Everything committed before this instant is in the source. Raises KeyError."""
        return self.reached or self.point.member(source).consistent_at

    def latest(self, source: str) -> datetime:
        """Nothing in the source was written after this instant. Raises KeyError."""
        if self.reached is not None and self.ends is None:
            return self.reached
        member = self.point.member(source)
        # a standby vouches for an earlier instant than its newest rows may have
        return max(member.consistent_at, member.facts.taken_at, *filter(None, (self.reached, self.ends)))

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
    item: str = ""
    """What the check answers to: an item of the EMR grading, a clause of a contract."""
    carries: bool = True
    """Whether its level may rest on it: no canary, and no date of a newest row, says by itself that a system works."""


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

    None: not reached, or in an incident (T0 to T3) not told by anybody. In a drill T1 to T3 equal T0, for nobody had to
    notice or decide. ``begun`` is when the command began, which RTO and RPO count from when T0 is not known;
    everything before ``brought_back`` is in the restored data.
    """

    t0: datetime | None
    t1: datetime | None = None
    t2: datetime | None = None
    t3: datetime | None = None
    t4: datetime | None = None
    t5: datetime | None = None
    t6: datetime | None = None
    begun: datetime | None = None
    brought_back: datetime | None = None

    @property
    def counted_from(self) -> str:
        """What RTO and RPO are counted from: ``t0`` when it is known, else ``begun``."""
        return "begun" if self.t0 is None else "t0"

    @property
    def after_fault(self) -> bool:
        """Whether what was brought back is of after a fault that people told: its damage may be in the data.

        Nothing that was written before the fault is lost then, and yet no RPO is met by it.
        """
        if self.t0 is None or self.begun is None or self.brought_back is None:
            return False
        # a fault that the command declares is its own beginning
        return self.t0 < min(self.begun, self.brought_back)

    def seconds_to_verified(self) -> float | None:
        """From what is counted from to T6; None when that was not reached."""
        since = self.t0 or self.begun
        return None if self.t6 is None or since is None else (self.t6 - since).total_seconds()

    def seconds_lost(self) -> float | None:
        """Between what was brought back and the fault; what was written after the fault is not counted.

        None when that was not reached, or when it was gone to an instant after the fault.
        """
        since = self.t0 or self.begun
        if self.t6 is None or since is None or self.brought_back is None or self.after_fault:
            return None
        return max(0.0, (since - self.brought_back).total_seconds())


@dataclass(frozen=True)
class Measure:
    """An objective against what was measured, in seconds; ``measured`` None means it was never reached, hence not met."""

    target: float
    measured: float | None

    @property
    def met(self) -> bool:
        return self.measured is not None and self.measured <= self.target


@dataclass(frozen=True)
class Replayed:
    """The logs that carried a source on from its point to ``target``: so many snapshots, and what they hold."""

    target: RecoveryTarget
    snapshots: int
    files: int
    bytes: int


@dataclass(frozen=True)
class Origin:
    """Where what was brought back came from, and into what. Empty: not known.

    ``medium`` is the kind of store (``s3``, ``folder``), ``key_version`` that of the password that opened it, ``seal`` the
    SHA-256 of the recovery point as it was sealed. By the sources' names: ``replayed``, and ``into``, which are the versions
    (see Engine.versions) of what they were loaded into.
    """

    medium: str = ""
    key_version: str = ""
    seal: str = ""
    replayed: Mapping[str, Replayed] = field(default_factory=dict)
    into: Mapping[str, Mapping[str, str]] = field(default_factory=dict)


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
    origin: Origin = field(default=Origin())


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
    copy: str = ""
    """The copy that all came from; empty: the store itself."""
    swap: Swap | None = None
    """What got another name in a restore in place, and how far that came."""
    laid: tuple[LaidAs, ...] | None = None
    """The tables that lie beside the live ones; None when none was meant to."""
    phases: tuple[Phase, ...] = ()
    """Steps of several systems together."""
