"""The verbs: every Protocol on one page. The comments are the contract; tests/contract/ holds each maker to it."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager
from datetime import datetime
from pathlib import Path
from typing import Protocol, Self

from drmgr.errors import DrmgrError
from drmgr.model import (
    AuditResult,
    CheckReport,
    CheckResult,
    Destruction,
    DrillRecord,
    Entry,
    EvidenceEntry,
    Facts,
    Instance,
    Json,
    Level,
    Listing,
    LogBatch,
    Member,
    Newer,
    Part,
    Payload,
    Readback,
    Recipe,
    RecoveryPoint,
    RecoveryTarget,
    Restored,
    Retention,
    Run,
    RunKind,
    RunStatus,
    Snapshot,
    Stored,
    Version,
)
from drmgr.system.secret import Secret

Progress = Callable[[float, str], None]
"""Called with the share done (0 to 1) and a short word on what is being done."""


class Clock(Protocol):
    def now(self) -> datetime: ...
    def monotonic(self) -> float: ...
    def sleep(self, seconds: float) -> None: ...


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


class Repository(Protocol):
    """One system's encrypted repository."""

    location: str

    def init(self) -> bool:
        """Makes the repository; False when it was there already and opens with our password. Raises RepositoryError."""

    def probe(self) -> None:
        """Opens the repository and reads its config. Raises the RepositoryError that fits."""

    def backup(self, payload: Payload, tags: Sequence[str], progress: Progress) -> Snapshot:
        """Stores the payload; see Sink.save. ``complete`` is False when files could not be read."""

    def store_bytes(self, filename: str, content: bytes, tags: Sequence[str]) -> Snapshot:
        """Stores one small file."""

    def read_bytes(self, snapshot: str, filename: str) -> bytes:
        """That small file back. Raises RepositoryError."""

    def restore(self, snapshot: str, target: Path, files: int, size: int, progress: Progress) -> None:
        """Writes the snapshot below ``target``, which must not exist.

        Proves that exactly ``files`` files and ``size`` bytes arrived. Raises RepositoryDamagedError when what came back
        is not what was stored.
        """

    def restore_some(self, snapshot: str, target: Path, patterns: Path, *, only: bool, progress: Progress) -> None:
        """As ``restore``, but only (or all but) what the restic patterns in that file match; nothing is counted."""

    def entries(self, snapshot: str) -> Iterator[Entry]: ...

    def snapshots(self, tags: Sequence[str] = ()) -> Listing:
        """Those that carry all the tags; damaged ones are named, never passed over in silence."""

    def check(self, share: float) -> CheckReport:
        """Structure, and the given share (0 to 1) of all data read back. Damage is in the report, not raised."""


class Objects(Protocol):
    """The objects of one repository in a versioned bucket, with every version that is still there."""

    location: str

    def all(self) -> Iterator[Stored]:
        """Every key in the order of the keys, streamed; what happens meanwhile may or may not be in it.

        Raises the RepositoryError that fits, as every method does.
        """

    def now(self) -> datetime:
        """The store's own clock, in whole seconds: that by which its versions are dated."""

    def retention(self, version: Version) -> Retention | None:
        """The lock of that version as the store holds it now; None when it has none."""

    def retain(self, version: Version, until: datetime, held: Retention | None) -> datetime:
        """Locks the version for longer, in the mode of the lock it has (``held``) or else in the bucket's.

        Never shortens a lock. Gives the instant until which it is locked now.
        """

    def proves(self, version: Version, digest: str) -> bool:
        """Reads the version whole: whether its SHA-256 is that one."""

    def uncover(self, version: Version, above: Sequence[Version]) -> None:
        """Takes the delete markers ``above`` away, so that the version is current again."""

    def bring_forward(self, version: Version) -> None:
        """Makes a copy of the version the current one. Nothing is lost, and nothing needs to be unlocked."""

    def hide(self, key: str) -> None:
        """Puts a delete marker over the key; its versions stay."""

    def copy_to(self, version: Version, into: "Objects") -> None:
        """The same within another folder or bucket of the same store."""


class CaredRepository(Repository, Protocol):
    """A repository with what its care needs. Its listing is the store's own, never what this host remembers of it."""

    def init_like(self, source: Self) -> bool:
        """Makes the repository so that what is taken from ``source`` deduplicates; False when it was there already."""

    def take(self, source: Self, snapshots: Sequence[str], progress: Progress) -> None:
        """Copies snapshots of ``source`` that are not here yet; they keep their first id, tree and tags.

        May be repeated after it was ended in the middle. Raises RepositoryDamagedError when ``source`` cannot give all.
        """

    def forget(self, snapshots: Sequence[str]) -> None:
        """Removes snapshots; what only they held stays stored until ``prune``. Raises RepositoryError."""

    def prune(self) -> None:
        """Frees what no snapshot needs. Raises RepositoryDamagedError for a repository that is not whole."""

    def check_group(self, group: int, groups: int) -> CheckReport:
        """Structure, and one group of all data read back; all of 1 to ``groups`` together are all data there is."""

    def touched_by(self, packs: Sequence[str]) -> frozenset[str]:
        """The snapshots that need any of these packs, or that cannot be looked through. Raises RepositoryError."""

    def drop_broken(self, packs: Sequence[str], snapshots: Sequence[str]) -> None:
        """Takes out packs and snapshots that are not what was stored, and makes the index anew from what is.

        What is sound in a broken pack stays. Raises RepositoryError.
        """

    def replace(self, source: Self, snapshots: Sequence[str], progress: Progress) -> None:
        """As ``take``, also of snapshots that are here and lack data; theirs go once the sound ones are stored."""


class Shelf(Protocol):
    """A place in the store, beside the repositories, for small sealed things. Nothing on it is ever taken away by drmgr.

    Names are ``FOLDER/NAME``. Every method raises RepositoryError when the store does not do as asked.
    """

    where: str

    def put(self, name: str, content: bytes) -> None:
        """Stores the content durably."""

    def names(self, folder: str) -> list[str]:
        """What is offered in that folder now, sorted."""

    def newest_first(self, folder: str) -> Iterator[tuple[str, bytes]]:
        """Every version that the store still has, by falling name, also of what was overwritten or marked as deleted."""


class Sealer(Protocol):
    """Encrypts under the master key, so that the store learns nothing and can change nothing unseen."""

    def seal(self, name: str, content: bytes) -> bytes:
        """The content encrypted, and bound to the name under which it is to be kept."""

    def open(self, name: str, sealed: bytes) -> bytes:
        """The content back. Raises KeystoreError when it was changed, moved to another name, or is under another key."""

    def mark(self, content: bytes) -> str:
        """Sixteen digits, equal for equal content, that tell nothing of it to who lacks the master key."""


class RepositoryPasswords(Protocol):
    """The passwords that open one repository; each has a key of its own, known by an id. Raises RepositoryError."""

    def opens(self, password: Secret) -> bool: ...

    def add(self, password: Secret, new: Secret) -> None:
        """Lets ``new`` open it as well; ``password`` opens it now."""

    def ids(self, password: Secret) -> tuple[str, tuple[str, ...]]:
        """The id of this password's key, and those of all others."""

    def remove(self, password: Secret, key: str) -> None:
        """Takes a key away; never that of ``password`` itself."""


class Renewal(Protocol):
    """The password of one repository in the keystore while it is renewed; every step is durable when it returns."""

    def present(self) -> Secret: ...

    def begin(self) -> Secret:
        """The password to come, the same one until ``complete``."""

    def complete(self) -> None:
        """Makes the password to come the present one, and remembers the one before it until ``forget``."""

    def retired(self) -> Secret | None:
        """The one before, if it is not forgotten yet."""

    def forget(self) -> None: ...


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


class AcrossCheck(Protocol):
    """A proof about several systems that were brought back together."""

    name: str
    level: Level
    systems: tuple[str, ...]

    def run(self, restored: Mapping[str, Restored]) -> CheckResult:
        """As Check.run; the systems by their ids. Those of ``systems`` are there."""


class EvidenceStore(Protocol):
    def seal(self, record: DrillRecord) -> EvidenceEntry:
        """Signs the record, chains it to the document before it, writes it durably. Raises EvidenceError, KeystoreError."""


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
        limit: int | None = None,
    ) -> list[Run]:
        """Newest first; begun at or after ``since`` and at or before ``until``."""

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
