"""Remembers what was in each file, so that the next backup reads only new and changed ones.

A row counts only for the very state that restic read this time: path, size, both times and inode. Whoever throws the
file away loses time and nothing else. What it says is never believed at a restore: there every file is read.
"""

import json
import sqlite3
import time
import zlib
from contextlib import suppress
from pathlib import Path
from types import TracebackType

from drmgr.engines.files.look import Line, name_bytes
from drmgr.engines.files.settings import FactsMode
from drmgr.engines.files.worker import encoded
from drmgr.model import Entry, Json

FORM = 1
"""Changes with every change of what a line of the manifest means; a cache of another form is thrown away."""

SETTLED_NANOSECONDS = 10_000_000_000
"""A file that changed so shortly before it was read may change again without its times showing it: not remembered."""

ROWS_AT_ONCE = 1_000

Row = tuple[bytes, str, str, int]
"""Path, state, line, and a sum over these: of damage in the file itself nobody else would tell."""

_TABLE = "CREATE TABLE line (path BLOB PRIMARY KEY, state TEXT, line TEXT, sum INTEGER) WITHOUT ROWID"


class FactsCache:
    """What an earlier backup remembered (``found``), and what this one will leave (``keep``, ``commit``).

    A new file is written beside the old one and takes its place at the end: what is gone from the tree is forgotten, and
    a killed backup leaves the old one.
    """

    def __init__(self, path: Path | None, fresh: Path, mode: FactsMode) -> None:
        self._path = path
        self._fresh = fresh
        self._about = json.dumps([FORM, mode])
        self._old: sqlite3.Connection | None = None
        self._new: sqlite3.Connection | None = None
        self._rows: list[Row] = []
        self._began = time.time_ns()

    def __enter__(self) -> "FactsCache":
        if self._path is None:
            return self
        self._old = self._opened(self._path)
        self._new = sqlite3.connect(self._fresh, isolation_level=None)
        for statement in (
            "PRAGMA journal_mode = OFF",
            "PRAGMA synchronous = OFF",
            "PRAGMA cache_size = -8000",
            "CREATE TABLE about (text TEXT)",
            _TABLE,
            "BEGIN",
        ):
            self._new.execute(statement)
        self._new.execute("INSERT INTO about VALUES (?)", (self._about,))
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for connection in (self._old, self._new):
            if connection is not None:
                connection.close()

    def found(self, entry: Entry) -> bytes | None:
        """The manifest's line of that very state of the file, kept for the next time too; None when it is not known.

        Raises sqlite3.Error when it cannot be kept.
        """
        row = self._row(entry)
        if row is None or self._new is None:
            return None
        self._write(row)
        return f"{row[2]}\n".encode("ascii")

    def _row(self, entry: Entry) -> Row | None:
        if self._old is None or entry.changed < 0:
            return None
        try:
            row = self._old.execute("SELECT * FROM line WHERE path = ?", (name_bytes(entry.path),)).fetchone()
        except sqlite3.Error:
            # damaged: it is worth nothing any more, and costs nothing
            self._old.close()
            self._old = None
            return None
        if row is None or row[1] != _state(entry) or row[3] != _sum(*row[:3]):
            return None
        return row[0], row[1], row[2], row[3]

    def keep(self, entry: Entry, line: Line) -> None:
        """Remembers the line for the next backup. Raises sqlite3.Error.

        Not a file that changed a moment ago, nor one with several names: which others it has is to be seen each time.
        """
        unsettled = entry.changed > self._began - SETTLED_NANOSECONDS
        if self._new is None or entry.changed < 0 or unsettled or "moving" in line or "inode" in line:
            return
        row = (name_bytes(entry.path), _state(entry), encoded(line).decode("ascii").rstrip())
        self._write((*row, _sum(*row)))

    def _write(self, row: Row) -> None:
        self._rows.append(row)
        if len(self._rows) >= ROWS_AT_ONCE:
            self._write_all()

    def _write_all(self) -> None:
        assert self._new is not None
        self._new.executemany("INSERT OR REPLACE INTO line VALUES (?, ?, ?, ?)", self._rows)
        self._rows.clear()

    def commit(self) -> None:
        """From now on the next backup remembers. Raises sqlite3.Error, OSError."""
        if self._path is None or self._new is None:
            return
        self._write_all()
        self._new.execute("COMMIT")
        self._new.close()
        self._path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        self._fresh.chmod(0o600)
        self._fresh.replace(self._path)

    def _opened(self, path: Path) -> sqlite3.Connection | None:
        if not path.is_file():
            return None
        connection = sqlite3.connect(f"{path.absolute().as_uri()}?mode=ro&immutable=1", uri=True)
        with suppress(sqlite3.Error):
            connection.execute("PRAGMA cache_size = -8000")
            if connection.execute("SELECT text FROM about").fetchone() == (self._about,):
                return connection
        connection.close()
        return None


def _state(entry: Entry) -> str:
    return f"{entry.size} {entry.modified} {entry.changed} {entry.inode}"


def _sum(*row: Json) -> int:
    return zlib.crc32(repr(row).encode("utf-8", "surrogateescape"))
