"""What a backup is made of: payloads, snapshots, facts, recovery points, and the logs between them."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path

from drmgr.model.suspicion import Judgement
from drmgr.model.words import Json, PointStatus


@dataclass(frozen=True)
class Stream:
    """A command whose standard output is stored as one file, and only if the command succeeds.

    ``labels`` become tags of the snapshot.
    """

    part: str
    argv: tuple[str, ...]
    filename: str
    env: Mapping[str, str] = field(default_factory=dict)
    labels: tuple[str, ...] = ()


@dataclass(frozen=True)
class Tree:
    """A folder stored with all below it; paths in the snapshot are relative to ``root``.

    ``excludes`` are restic patterns, relative to ``root`` when they hold a slash. ``only`` are names below ``root``; empty
    means all of it. ``live``: files may vanish while they are read, and then they do not count as unreadable; and only
    those that are unchanged since the snapshot ``parent`` are not read again, which for an empty ``parent`` is none. ``labels``
    become tags of the snapshot.
    """

    part: str
    root: Path
    excludes: tuple[str, ...] = ()
    one_file_system: bool = False
    only: tuple[str, ...] = ()
    live: bool = False
    parent: str = ""
    labels: tuple[str, ...] = ()


Payload = Stream | Tree


@dataclass(frozen=True)
class Entry:
    """One object as a snapshot lists it; ``modified`` and ``changed`` (of content, of status) in nanoseconds since 1970.

    ``path`` is relative to the root and UTF-8; bytes of it that are not come as lone surrogates (PEP 383). ``kind`` is
    file, dir, symlink, fifo, socket, chardev or dev; ``changed`` is -1 where it is not told.
    """

    path: str
    size: int
    modified: int
    changed: int = -1
    inode: int = 0
    kind: str = "file"


@dataclass(frozen=True)
class Change:
    """How a snapshot differs from what was there: files by restic's comparison with the one before it.

    ``added`` are bytes that the repository did not have yet, before they were compressed.
    """

    new: int
    changed: int
    unmodified: int
    added: int


@dataclass(frozen=True)
class Snapshot:
    """One restic snapshot: full id, when it was begun and ended, tags, and how many files and bytes it holds.

    ``id`` is the one it was first stored under, which seals name; ``stored_as`` is the one it has where it lies, another
    one after it was copied. Equal ``tree`` means equal content.
    """

    id: str
    time: datetime
    tags: tuple[str, ...] = ()
    files: int = 0
    bytes: int = 0
    bytes_added: int = 0
    complete: bool = True
    unreadable: tuple[str, ...] = ()
    ended: datetime | None = None
    tree: str = ""
    stored_as: str = ""
    change: Change | None = None


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
    """One snapshot of a source: a PostgreSQL source has ``dump`` and ``globals``, a file tree ``files`` and ``manifest``.

    ``bytes_added`` are new in the repository, as they are stored there. ``change``: None in points of an older drmgr.
    """

    name: str
    snapshot: str
    files: int
    bytes: int
    bytes_added: int = 0
    seconds: float = 0.0
    change: Change | None = None


@dataclass(frozen=True)
class Member:
    """One source inside a recovery point. The first part is the main one.

    ``seen_until`` is an instant of drmgr's own clock: nothing that was written later is in it. ``connection`` is the name
    that the source's place has in the site file, ``versions`` are those of Engine.versions at the backup. None and empty:
    not told, as in points made before drmgr noted it.
    """

    source: str
    engine: str
    consistent_at: datetime
    parts: tuple[Part, ...]
    facts: Facts
    complete: bool = True
    unreadable: int = 0
    seconds: float = 0.0
    seen_until: datetime | None = None
    connection: str = ""
    versions: Mapping[str, str] = field(default_factory=dict)

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
class Standstill:
    """The writers of a system stood still, by the pause of that name, while all its views were opened or read."""

    pause: str
    since: datetime
    until: datetime


@dataclass(frozen=True)
class ChainHead:
    """The newest document of the evidence: its number, and the SHA-256 of its file.

    ``chain`` is the id of the first document, by which one chain is told from another.
    """

    sequence: int
    sha256: str
    chain: str = ""


@dataclass(frozen=True)
class RecoveryPoint:
    """All sources of one system, sealed together; ``members`` stand in the order in which they were captured.

    ``consistent_at`` is the oldest of its members' instants: everything before it is surely inside. ``judgement``: None
    in points that were made before drmgr judged them. ``evidence`` is where the evidence of ``host`` stood then; None: none yet.
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
    standstill: Standstill | None = None
    judgement: Judgement | None = None
    evidence: ChainHead | None = None

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
class Barrier:
    """Transactions that a replay into one database alone cannot pass, for they may change it from outside.

    ``first`` is the position at which the first of them begins, ``last`` the one at which the last ends, ``at`` when the first
    was committed.
    """

    first: int
    last: int
    at: datetime


@dataclass(frozen=True)
class LogBatch:
    """Log files without a gap between them.

    ``chain`` tells one server's log from another's. Files are numbered along a ``timeline``, which a server leaves when
    it is recovered or promoted; positions grow along it. A replay of the batch reaches every time before ``until`` and
    every position up to ``position``, both those of the last transaction that ended in it. ``marks`` are named instants
    and their positions. Where the server's clock was set back within the batch, ``twice`` are the first time that it
    showed again and the last one that it had shown before. ``barrier``: what only a replay of the whole server passes.
    ``begun``: the first transaction that ended on this timeline, where the server came to it within the batch.
    """

    chain: str
    timeline: int
    first: int
    last: int
    until: datetime | None
    position: int
    marks: Mapping[str, int]
    files: tuple[LogFile, ...]
    twice: tuple[datetime, datetime] | None = None
    barrier: Barrier | None = None
    begun: datetime | None = None
