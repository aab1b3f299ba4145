"""Where backups lie: repositories, the objects beneath them, and what is kept beside them."""

from collections.abc import Iterator, Sequence
from datetime import datetime
from pathlib import Path
from typing import Protocol, Self

from drmgr.interfaces.memory import Progress
from drmgr.model import (
    CheckReport,
    Entry,
    Listing,
    Payload,
    Retention,
    Snapshot,
    Stored,
    Version,
)
from drmgr.system.secret import Secret


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


class RepositoryFiles(Protocol):
    """The files of one repository by their names in it, as ``keys/ID``. Every method raises RepositoryError."""

    def put(self, name: str, content: bytes) -> None: ...

    def remove(self, name: str) -> None:
        """Takes the file away if it is there; a bucket with versions keeps it below a marker."""


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

    def add(self, password: Secret, new: Secret) -> str:
        """Lets ``new`` open it as well; ``password`` opens it now. Gives the id of the new one's key."""

    def ids(self, password: Secret) -> tuple[str, tuple[str, ...]]:
        """The id of a key that this password opens, and those of all others."""

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
