"""Level 4 for systems with an index and files: each row has its file, whole, and no file is without a row."""

import hashlib
import math
import os
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path

from drmgr.errors import SourceError
from drmgr.interfaces import SqlEngine
from drmgr.model import CheckResult, CheckStatus, Json, Level, RecoveryPoint, Restored, Text

ARRIVING = "arriving"
FILES, MISSING, SIZE, SHA256, UNREADABLE, ORPHANS = "files", "missing", "size", "sha256", "unreadable", "orphans"


@dataclass(frozen=True)
class IndexedFiles:
    """An index and the files that its rows name: the two sources, the query that lists the files.

    ``arriving`` is how long a file may lie in the tree before its row is written; ``beside`` are files that never have one.
    """

    index: str
    sql: str
    files: str
    arriving: timedelta = timedelta(0)
    beside: frozenset[str] = frozenset()


class FilesCheck:
    """Reads the index (columns path, size, sha256; any but the path may be NULL) and each file.

    Files that no row names are orphans; those that came after the index was read are only told of, for their rows came
    later. Memory: 16 bytes a file. ``TOTAL`` names the number of rows, ``WRONG`` what is counted as wrong; makers of
    stricter checks add to these and look into each file by ``_look_inside``.
    """

    level = Level.BUSINESS
    COLUMNS: Sequence[str] = ("path", "size", "sha256")
    TOTAL = FILES
    WRONG: Sequence[str] = (MISSING, SIZE, SHA256, UNREADABLE, ORPHANS)

    def __init__(self, *, name: str, title: Text, engine: SqlEngine, of: IndexedFiles) -> None:
        self.name = name
        self._title = title
        self._engine = engine
        self._of = of

    def run(self, restored: Restored) -> CheckResult:
        folder = restored.instance(self._of.files).path
        if folder is None:
            raise SourceError(f"the source {self._of.files} was not restored to a folder")
        root, (since, until), arriving = folder.resolve(), _came_later(restored.point, self._of), 0
        counts, found = dict.fromkeys((self.TOTAL, *self.WRONG), 0), set[bytes]()
        for row in self._rows(restored):
            self._look(root, row, counts, found)
        for path in _files_below(root):
            if _key(path) not in found and str(path.relative_to(root)) not in self._of.beside:
                came_later = since <= path.stat().st_mtime <= until
                arriving += came_later
                counts[ORPHANS] += not came_later
        expected = {**dict.fromkeys(counts, 0), self.TOTAL: counts[self.TOTAL]}
        # an empty index proves nothing
        status = CheckStatus.PASS if counts == expected and counts[self.TOTAL] else CheckStatus.FAIL
        actual = {**counts, **({ARRIVING: arriving} if arriving else {})}
        return CheckResult(self.name, status, self.level, expected, actual, source=self._of.files, title=self._title)

    def _rows(self, restored: Restored) -> Iterator[tuple[Json, ...]]:
        for row in self._engine.rows(restored.instance(self._of.index), self._of.sql):
            if len(row) != len(self.COLUMNS):
                raise SourceError(f"the index query of {self.name} must give {', '.join(self.COLUMNS)}")
            yield row

    def _look(self, root: Path, row: tuple[Json, ...], counts: dict[str, int], found: set[bytes]) -> None:
        path, size, digest = row[:3]
        file = _inside(root, str(path))
        counts[self.TOTAL] += 1
        if file is None:
            counts[MISSING] += 1
            return
        found.add(_key(file))
        try:
            counts[SIZE] += size is not None and file.stat().st_size != size
            counts[SHA256] += digest is not None and _sha256(file) != digest
        except OSError:
            counts[UNREADABLE] += 1
            return
        for name, wrong in self._look_inside(file, row, counts[self.TOTAL]).items():
            counts[name] += wrong

    def _look_inside(self, file: Path, row: tuple[Json, ...], number: int) -> Mapping[str, bool]:
        """What else is wrong with the file of that row, the ``number``-th, by the names of WRONG."""
        del file, row, number
        return {}


def _came_later(point: RecoveryPoint, of: IndexedFiles) -> tuple[float, float]:
    """From when to when a file may have been written and be without a row; in seconds since 1970.

    Between the reading of the index and that of the files. Never, where the files were read first.
    """
    sources = [member.source for member in point.members if member.source in {of.index, of.files}]
    if sources != [of.index, of.files]:
        return math.inf, -math.inf
    until = point.member(of.files).seen_until
    since = point.member(of.index).consistent_at - of.arriving
    return since.timestamp(), -math.inf if until is None else until.timestamp()


def _inside(root: Path, path: str) -> Path | None:
    """The restored file; None when it is not there. A full path, or a link, may lead to production: that is not there."""
    file = Path(os.path.realpath(root / path))
    return file if file.is_relative_to(root) and file.is_file() else None


def _files_below(root: Path) -> Iterator[Path]:
    for place, _, names in os.walk(root, onerror=_refuse):
        yield from (path for name in names if (path := Path(place, name)).is_file() and not path.is_symlink())


def _refuse(error: OSError) -> None:
    raise SourceError(f"a folder of the restored images cannot be listed: {error.strerror}") from error


def _key(path: Path) -> bytes:
    return hashlib.blake2b(bytes(path), digest_size=16).digest()


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
