"""Where backups are brought back and proven: scratch, checks, evidence."""

from collections.abc import Mapping
from contextlib import AbstractContextManager
from datetime import datetime
from pathlib import Path
from typing import Protocol

from drmgr.model import (
    ChainHead,
    CheckResult,
    Destruction,
    DrillRecord,
    EvidenceEntry,
    IncidentNote,
    Instance,
    Level,
    Recipe,
    Restored,
)


class Workspace(Protocol):
    """A labelled, private directory of one run on scratch, with the instances inside it."""

    path: Path

    def start(self, recipe: Recipe) -> Instance:
        """A running, empty instance reachable by nothing but drmgr. Raises ScratchError; PreflightError for missing tools."""

    def stage(self, source: str) -> Path:
        """A directory below which one source's parts are restored."""

    def drop(self, staged: Path) -> None:
        """Removes staged data that is loaded by now."""


class Scratch(Protocol):
    def open(self, run: str, needed_bytes: int) -> AbstractContextManager[Workspace]:
        """A workspace that is destroyed on leaving the block, whatever happens. Raises ScratchError if it would not fit."""

    def memory(self, recipe: Recipe) -> int:
        """Bytes of this host's memory that an instance of that recipe takes, and the programs that fill it."""

    def halt(self) -> None:
        """Ends what runs in the open workspaces, so that whoever waits for it gets an error; they stay to be destroyed."""

    def keep(self, run: str, until: datetime) -> None:
        """Takes the run's workspace out of the destruction at the end of the block; ``reap`` ends it after ``until``."""

    def destructions(self) -> tuple[Destruction, ...]:
        """The proofs of all workspaces this object has destroyed."""

    def reap(self) -> tuple[Destruction, ...]:
        """Destroys workspaces whose run is dead or whose keeping time is over."""


class Check(Protocol):
    name: str
    level: Level

    def run(self, restored: Restored) -> CheckResult:
        """Never raises a DrmgrError for data that is wrong (that is ``fail``); does raise when it could not look."""


class Canary(Protocol):
    """What never changes in a source: a row or a file that was planted there."""

    @property
    def source(self) -> str: ...

    def sound(self) -> bool:
        """Whether it is in the living source as it was planted; False also when it cannot be read there."""


class AcrossCheck(Protocol):
    """A proof about several systems that were brought back together."""

    name: str
    level: Level
    systems: tuple[str, ...]

    def run(self, restored: Mapping[str, Restored]) -> CheckResult:
        """As Check.run; the systems by their ids. Those of ``systems`` are there."""


class EvidenceStore(Protocol):
    def head(self) -> ChainHead | None:
        """Where the chain stands now; None when there is no document. Raises EvidenceError."""

    def seal(self, record: DrillRecord) -> EvidenceEntry:
        """Signs the record, chains it to the document before it, writes it durably. Raises EvidenceError, KeystoreError."""


class IncidentNotes(Protocol):
    def add(self, note: IncidentNote) -> EvidenceEntry:
        """Signs what became known of an incident after its restore, and chains it as ``EvidenceStore.seal`` does."""
