"""What holds data: engines, their views, and what ships their logs."""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import AbstractContextManager
from datetime import datetime
from pathlib import Path
from typing import Protocol

from drmgr.errors import DrmgrError
from drmgr.interfaces.memory import Progress
from drmgr.model import (
    CheckResult,
    Entry,
    Facts,
    Instance,
    Json,
    LogBatch,
    Member,
    Newer,
    Part,
    Payload,
    Recipe,
    RecoveryTarget,
    Snapshot,
)


class Sink(Protocol):
    """Where an engine puts the parts of one source while its view is open."""

    def save(self, payload: Payload) -> Part:
        """Stores the payload as one snapshot and returns once it is durable.

        Raises SourceError when the payload's own command failed (nothing is stored then), RepositoryError when the
        store did. Unreadable files do not raise: the snapshot is kept and the sink remembers it as incomplete.
        """

    def save_together(self, *payloads: Payload) -> tuple[Part, ...]:
        """As ``save``, several at the same time; their order is kept, and the first one that fails is raised."""

    def entries(self, part: Part) -> Iterator[Entry]:
        """Everything that the part's snapshot really holds, streamed; a folder comes before what is in it."""

    def note(self, text: str) -> None:
        """What a person should hear of although nothing failed; without names that could be a patient's."""

    def previous(self, part: str) -> Snapshot | None:
        """The snapshot of that part in the newest recovery point of this source; None for the first backup."""


class Capture(Protocol):
    """One consistent view of a source, held open."""

    @property
    def consistent_at(self) -> datetime:
        """Everything committed before this instant is in the view."""

    @property
    def frozen(self) -> bool:
        """Whether the view stays as it is while the source's programs write on; a live folder does not."""

    def store(self, sink: Sink) -> None:
        """Stores every part, the main one first. What is stored is the view, whatever happens beside it."""

    def facts(self) -> Facts:
        """What is true in this very view; called once, after ``store``."""


class Engine(Protocol):
    """Knows how to back up, load and question one kind of source. Bound to one source and its connection."""

    name: str

    def preflight(self) -> None:
        """Proves that a backup can start: reachable, rights, versions, tools. Changes nothing. Raises PreflightError."""

    def capture(self) -> AbstractContextManager[Capture]:
        """Opens the view. Leaving the block gives everything back to the source. Raises SourceError."""

    def recipe(self, facts: Facts) -> Recipe:
        """What an instance must be like to load this source, for Scratch.start."""

    def target(self) -> Instance:
        """The instance behind this engine's own connection, for a restore into it. Raises NotAllowedError if it has none."""

    def identity(self, of: Instance) -> str:
        """A text that is equal for the same server or folder however it is reached, and differs otherwise."""

    def versions(self, of: Instance | None = None) -> Mapping[str, str]:
        """What is at work there; the source itself when None. What is not known is left out.

        ``server``: the server's version, or that of the library which stands for one. The others are the engine's own
        programs on this host, by their names. Raises PreflightError, SourceError, ToolError.
        """

    def load(self, restored: Path, into: Instance, progress: Progress) -> Instance:
        """Loads restored parts (``restored/PART/…``) into an empty instance and returns where they can be questioned.

        Raises LoadError when the data does not load, PreflightError when the instance is not empty. A load that did
        nothing is an error.
        """

    def facts(self, of: Instance, like: Facts) -> Facts:
        """The same groups as ``like``, by the same code as at backup time, now of the instance."""

    def integrity(self, of: Instance) -> CheckResult:
        """The engine's own proof that its structures are sound (level 2). Leaves nothing behind."""


class TreeEngine(Protocol):
    """An engine of files, which can tell new ones from old ones. ``restored`` holds every part but the main one."""

    def newer(self, restored: Path, since: datetime, patterns: Path) -> Newer:
        """Writes restic patterns for all files since then into a file. Raises PreflightError when nothing tells them."""

    def lacking(self, restored: Path, since: datetime) -> int:
        """How many of them are not there with their size, once the main part was restored beside the others."""


class Pause(Protocol):
    """Keeps all writers of a system still, so that its sources are captured as of one instant."""

    name: str

    @property
    def notes(self) -> Sequence[str]:
        """What a person should hear of, once it was held."""

    def preflight(self) -> None:
        """Proves that it can be held. Changes nothing. Raises PreflightError."""

    def held(self) -> AbstractContextManager[None]:
        """The writers stand still inside the block and go on after it, whatever happens. Raises SourceError."""


class SqlEngine(Engine, Protocol):
    """An engine that answers SQL."""

    def scalar(self, of: Instance, sql: str) -> Json:
        """The one value of the one row, read-only. Raises SourceError for anything but one row of one column."""

    def newest(self, of: Instance, table: str, column: str) -> datetime | None:
        """The greatest value of a date or time column; None for an empty table. Raises SourceError."""

    def rows(self, of: Instance, sql: str) -> Iterator[tuple[Json, ...]]:
        """All rows, streamed, read-only. Raises SourceError."""


class LogShipper(Protocol):
    """What happens in a source between recovery points. An optional part of a source: bench.Source.logs is None without.

    ``spool`` is a private folder of this source, kept between calls; what is in it is durable.
    """

    def receive(self, spool: Path) -> DrmgrError | None:
        """Brings all that the source has logged so far into the spool, whole files only.

        Raises SourceError when nothing could be received. Gives back, and does not raise, what it found to have gone
        wrong in the meantime though receiving goes on: then there may be a gap.
        """

    def waiting(self, spool: Path) -> tuple[LogBatch, ...]:
        """What lies in ``files(spool)``, in order; a gap parts two batches. Raises SourceError for unreadable log."""

    def files(self, spool: Path) -> Path:
        """The folder of the waiting files. The flow removes them once they are stored."""

    def position(self, text: str) -> int | None:
        """A position in the log from its text; None for any other text."""

    def position_text(self, position: int) -> str: ...

    def locate(self, name: str, marks: Mapping[str, int]) -> int | None:
        """The position of a named instant in a batch with these marks; None when it is not in that batch."""

    def replay(self, member: Member, restored: Path, into: Instance, target: RecoveryTarget) -> str:
        """Carries a loaded instance on to the target by ``restored/logs-…``, and tells how far it came.

        An engine whose instance was started at its target (see Recipe) has nothing to do. Raises LoadError when the
        target is not reached.
        """
