"""Which values came before; kept in a file of their own, for there may be millions."""

import hashlib
import sqlite3
from pathlib import Path
from types import TracebackType


class Seen:
    """Values by group. As a context manager it leaves nothing in ``folder``."""

    def __init__(self, folder: Path) -> None:
        self._path = folder / "seen.db"
        self._database: sqlite3.Connection | None = None

    def __enter__(self) -> "Seen":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._database is not None:
            self._database.close()
            self._database = None
            self._path.unlink(missing_ok=True)

    def new(self, group: str, value: str) -> bool:
        """Whether the value comes for the first time. Raises sqlite3.Error."""
        return self._add(_key(group, value), b"")

    def first(self, group: str, value: str, mark: bytes) -> bytes:
        """The mark that came with the value the first time; ours, when that is now. Raises sqlite3.Error."""
        key = _key(group, value)
        if self._add(key, mark):
            return mark
        (found,) = self._opened().execute("SELECT mark FROM seen WHERE key = ?", (key,)).fetchone()
        return bytes(found)

    def _add(self, key: bytes, mark: bytes) -> bool:
        return self._opened().execute("INSERT OR IGNORE INTO seen VALUES (?, ?)", (key, mark)).rowcount == 1

    def _opened(self) -> sqlite3.Connection:
        if self._database is None:
            self._database = sqlite3.connect(self._path, isolation_level=None)
            for statement in (
                "PRAGMA journal_mode = OFF",
                "PRAGMA synchronous = OFF",
                "PRAGMA cache_size = -8000",
                "CREATE TABLE seen (key BLOB PRIMARY KEY, mark BLOB) WITHOUT ROWID",
                "BEGIN",
            ):
                self._database.execute(statement)
        return self._database


def _key(group: str, value: str) -> bytes:
    return hashlib.blake2b(f"{group}:{value}".encode("utf-8", "surrogateescape"), digest_size=16).digest()
