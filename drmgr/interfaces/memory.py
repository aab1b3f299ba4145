"""What drmgr itself needs and remembers: clock, catalog, audit log, locks, keys."""

from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager
from datetime import datetime
from typing import Protocol

from drmgr.model import (
    AuditResult,
    EvidenceEntry,
    Json,
    Readback,
    RecoveryPoint,
    Rest,
    Run,
    RunKind,
    RunStatus,
)

Progress = Callable[[float, str], None]
"""Called with the share done (0 to 1) and a short word on what is being done."""


class Clock(Protocol):
    def now(self) -> datetime: ...
    def monotonic(self) -> float: ...
    def sleep(self, seconds: float) -> None: ...


class PointMemory(Protocol):
    """What is remembered of the points in one place."""

    def remember_point(self, point: RecoveryPoint, seal: str) -> None:
        """Keeps a sealed point under the full id of its seal's snapshot."""

    def point(self, seal: str) -> RecoveryPoint | None: ...

    def seals(self, system: str) -> Mapping[str, str]:
        """The points of that system that are remembered: seal → point's id, oldest first."""

    def forget_points(self, system: str) -> None:
        """For a repository that is begun anew."""


class Catalog(PointMemory, Protocol):
    """What drmgr remembers. The repositories are the truth about recovery points; the catalog can be lost."""

    def open_run(self, kind: RunKind, system: str) -> Run:
        """Records the intent, before anything acts."""

    def close_run(
        self, run: str, status: RunStatus, detail: Mapping[str, Json], error: Mapping[str, Json] | None = None
    ) -> Run: ...

    def runs(
        self,
        system: str | None = None,
        kind: RunKind | None = None,
        *,
        since: datetime | None = None,
        until: datetime | None = None,
        decided: bool = False,
        limit: int | None = None,
    ) -> list[Run]:
        """Newest first; begun at or after ``since`` and at or before ``until``.

        ``decided``: only those that have ended and were not refused by a lock.
        """

    def open_runs(self) -> list[Run]:
        """Those that have not ended, newest first."""

    def first_points(self) -> Mapping[str, datetime]:
        """When the first recovery point of each system was made, as far back as is remembered, expired ones too."""

    def remember_evidence(self, entry: EvidenceEntry) -> None: ...

    def evidence(self) -> list[EvidenceEntry]:
        """In the order of their sequence."""


class CareBook(Protocol):
    """What is remembered of the care of repositories. ``place`` is a copy's name, empty for the repositories themselves."""

    def expire(self, place: str, system: str, seals: Mapping[str, str]) -> None:
        """Before points, seal → id, are taken away on purpose: from then on their absence is no loss."""

    def readbacks(self, place: str, system: str, groups: int) -> Mapping[int, Readback]:
        """When each of so many groups of data was last read, by its number; number 0 tells when the first was due."""

    def remember_readback(self, place: str, system: str, groups: int, number: int, read: Readback) -> None: ...

    def memory(self, copy: str) -> PointMemory:
        """What is known of the points in that copy."""


class RestBook(Protocol):
    """What is remembered of restores whose rest is still to come."""

    def all(self) -> list[Rest]: ...

    def note(self, rest: Rest) -> None:
        """Durably, in place of what was noted of the same target. Raises PreflightError."""

    def strike(self, rest: Rest) -> None:
        """All of it came, or its folder is gone."""


class Audit(Protocol):
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
        """Writes who does what, why and with what result, durably; ``error`` is the code of what ended it.

        Raises EvidenceError when it cannot be written; then the act must not begin.
        """


class Locks(Protocol):
    def hold(self, name: str) -> AbstractContextManager[None]:
        """Only one holder on this host. Raises LockedError at once, naming the holder."""


class Keystore(Protocol):
    def secret(self, name: str) -> bytes:
        """Unwraps a key. Raises KeystoreError."""
