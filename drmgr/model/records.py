"""What is remembered beside recovery points: runs, evidence, looks through a repository, the audit log."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path

from drmgr.model.told import NOTHING_TOLD, Told
from drmgr.model.words import Json, OccasionKind, RunKind, RunStatus, Verdict


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
class Rest:
    """What is still to come of a restore into a folder whose index and newest files can be used already.

    ``run`` brought those; ``worker`` is the run that is at work on the rest, or was. ``later`` are the sources whose older
    files are missing; those in ``moving`` are restored, and on the way to their place. ``t5`` None: the folder had not yet
    got its name. ``told`` and ``occasion`` are those of the command that began.
    """

    run: str
    worker: str
    system: str
    point: str
    target: Path
    since: datetime
    sources: tuple[str, ...]
    copy: str
    t0: datetime
    t4: datetime | None
    t5: datetime | None
    later: tuple[str, ...]
    moving: tuple[str, ...] = ()
    told: Told = NOTHING_TOLD
    occasion: OccasionKind = OccasionKind.SIMULATION


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


@dataclass(frozen=True)
class Readback:
    """When a group of stored data was last read from the store, and whether it was what had been stored."""

    at: datetime
    sound: bool
