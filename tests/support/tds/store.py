"""What the stand-in remembers: databases with tables and a log of commits, backup history, and what kind of server it is."""

import threading
import uuid
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

FIRST_LSN = 34_000_000_012_800_001
"""Beyond 2**53, as those of every server are that has lived for some weeks."""

LSN_STEP = 800_008


@dataclass(frozen=True)
class Column:
    """One column; ``kind``, ``length`` and so on as sys.columns tells them, ``identity`` with seed and step."""

    name: str
    kind: str
    length: int = 8
    precision: int = 0
    scale: int = 0
    nullable: bool = True
    collation: str | None = None
    identity: tuple[str, str] | None = None
    default: str | None = None
    computed: str | None = None
    persisted: bool = False
    comment: str | None = None
    masked: bool = False


@dataclass(frozen=True)
class Index:
    """``columns`` with whether they descend; ``number`` is sys.indexes' type: 1 clustered, 2 not, others are no B-trees."""

    name: str
    columns: tuple[tuple[str, bool], ...]
    primary: bool = False
    unique: bool = False
    number: int = 2
    included: tuple[str, ...] = ()
    condition: str | None = None


@dataclass(frozen=True)
class Table:
    """``others`` are how many triggers, foreign keys and check constraints it has."""

    columns: tuple[Column, ...]
    rows: tuple[tuple[Any, ...], ...]
    indexes: tuple[Index, ...] = ()
    comment: str | None = None
    others: tuple[int, int, int] = (0, 0, 0)

    def column(self, name: str) -> int:
        return [column.name for column in self.columns].index(name)


@dataclass(frozen=True)
class Commit:
    """One transaction: the tables as it left them, by name, and those it dropped."""

    lsn: int
    time: datetime
    changed: Mapping[str, Table]
    dropped: tuple[str, ...] = ()


@dataclass
class Standing:
    """What the server knows of a database and its backups do not hold; here as a new database has it."""

    access: str = "MULTI_USER"
    owner: str = "sa"
    trustworthy: bool = False
    chaining: bool = False
    broker: bool = True
    capturing: bool = False
    grouped: bool = False
    mirrored: bool = False
    replicated: bool = False
    subscribed: bool = False
    snapshots: int = 0


@dataclass
class Database:
    """``redo`` is the number from which a restoring database wants its next log."""

    name: str
    tables: dict[str, Table]
    model: str = "FULL"
    collation: str = "Chinese_PRC_CI_AS"
    state: str = "ONLINE"
    family: str = field(default_factory=lambda: str(uuid.uuid4()))
    fork: str = field(default_factory=lambda: str(uuid.uuid4()))
    snapshots: int = 0
    others: dict[str, str] = field(default_factory=dict)
    """Views and the like: their types in sys.objects."""
    numbers: dict[str, int] = field(default_factory=dict)
    lsn: int = FIRST_LSN
    commits: list[Commit] = field(default_factory=list)
    log_start: int | None = None
    base: tuple[str, int] | None = None
    redo: int = 0
    primary: int | None = None
    preferred: int = 1
    damaged: bool = False
    standing: Standing = field(default_factory=Standing)
    users: tuple[str, ...] = ("reader",)
    dbo: str = "sa"
    files: dict[str, str] = field(default_factory=dict)

    def commit(self, change: Callable[[dict[str, Table]], None], now: datetime) -> None:
        """Carries a change out as one transaction."""
        after = dict(self.tables)
        change(after)
        changed = {name: table for name, table in after.items() if self.tables.get(name) is not table}
        dropped = tuple(name for name in self.tables if name not in after)
        self.tables = after
        self.commits.append(Commit(self.lsn, now, changed, dropped))
        self.lsn += LSN_STEP

    def recover(self) -> None:
        """Its log goes on from where the backups ended, in a life of its own, which the restored full backup began."""
        self.state, self.log_start = "ONLINE", None if self.model == "SIMPLE" else self.redo

    def replay(self, commit: Commit) -> None:
        self.tables.update(commit.changed)
        for name in commit.dropped:
            del self.tables[name]


@dataclass(frozen=True)
class BucketOf:
    """A real bucket behind a URL."""

    client: Any
    name: str


@dataclass
class Store:
    """One server. ``folders`` maps the folders that it sees to where they really lie, ``buckets`` the URLs of buckets.

    ``credentials`` are the identities of its credentials by their names. ``lesser`` are the users that are no sysadmins,
    ``volumes`` what is free on disks other than that of ``free_bytes``, by the beginning of their paths.
    """

    folders: dict[str, Path]
    name: str = "HISDB"
    version: str = "16.0.4175.1"
    edition: str = "Standard Edition (64-bit)"
    engine_edition: int = 2
    data_path: str = "/var/opt/mssql/data/"
    free_bytes: int | None = 10**12
    volumes: dict[str, int] = field(default_factory=dict)
    lesser: set[str] = field(default_factory=set)
    logins: set[str] = field(default_factory=lambda: {"sa", "drmgr", "reader", "his_owner"})
    offset: timedelta = timedelta(hours=8)
    drift: timedelta = timedelta()
    buckets: dict[str, "BucketOf"] = field(default_factory=dict)
    credentials: dict[str, str] = field(default_factory=dict)
    guid: str = field(default_factory=lambda: str(uuid.uuid4()).upper())
    databases: dict[str, Database] = field(default_factory=dict)
    history: list[dict[str, Any]] = field(default_factory=list)
    rights: dict[str, int] = field(default_factory=dict)
    database_bytes: int = 8 * 1024 * 1024
    texts: dict[str, Callable[["Store", Database], None]] = field(default_factory=dict)
    answers: dict[str, Callable[[Database], Any]] = field(default_factory=dict)
    lock: threading.RLock = field(default_factory=threading.RLock)

    def now(self) -> datetime:
        """The server's UTC clock, without zone as its own type is."""
        return datetime.now(UTC).replace(tzinfo=None) + self.drift

    def real(self, path: str) -> Path | None:
        """Where a file that the server names really lies; None when it does not see that folder."""
        for folder, place in self.folders.items():
            if path.startswith(folder):
                return place / path.removeprefix(folder).lstrip("/\\")
        return None

    def create(self, name: str, tables: Mapping[str, Table], **more: Any) -> Database:
        database = Database(name, dict(tables), **more)
        # as SQL Server names them; no rename of the database changes them
        database.files = database.files or {name: f"D:\\data\\{name}.mdf", f"{name}_log": f"E:\\log\\{name}.ldf"}
        self.databases[name] = database
        return database

    def change(self, name: str, change: Callable[[dict[str, Table]], None]) -> None:
        with self.lock:
            self.databases[name].commit(change, self.now())


def appended(table: Table, *rows: Sequence[Any]) -> Table:
    return replace(table, rows=(*table.rows, *(tuple(row) for row in rows)))


def updated(table: Table, change: Callable[[list[Any]], list[Any]]) -> Table:
    return replace(table, rows=tuple(tuple(change(list(row))) for row in table.rows))
