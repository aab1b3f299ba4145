"""Level 4 for image archives: each index row has its file, and the file is what the index says."""

import hashlib
import os
import struct
import warnings
import zlib
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

from drmgr.errors import SourceError
from drmgr.interfaces import SqlEngine
from drmgr.model import CheckResult, CheckStatus, Json, Level, Restored, Text

COLUMNS = ("path", "size", "sha256", "sop_instance_uid")

UNPARSABLE = (
    *(ArithmeticError, AssertionError, AttributeError, EOFError, LookupError, NotImplementedError, OSError),
    *(RecursionError, TypeError, ValueError, struct.error, zlib.error),
)
"""What pydicom raises on damaged files, apart from its own errors."""


@dataclass
class _Counts:
    """What was found; every field but ``images`` counts something wrong."""

    images: int = 0
    missing: int = 0
    size: int = 0
    sha256: int = 0
    unreadable: int = 0
    uid: int = 0
    pixels: int = 0
    orphans: int = 0
    found: set[bytes] = field(default_factory=set)

    def wrong(self) -> dict[str, int]:
        names = ("missing", "size", "sha256", "unreadable", "uid", "pixels", "orphans")
        return {name: getattr(self, name) for name in names}


class DicomCheck:
    """Reads the index (columns path, size, sha256, sop_instance_uid; any but the path may be NULL) and each file.

    Every file's header is parsed by pydicom and its SOP instance UID compared; of the first ``pixels`` images (the
    query's own order) the pixel data is measured too: least length of uncompressed ones, number of frames of the others.
    Files that no row names are orphans. Memory: 16 bytes a file.
    """

    level = Level.BUSINESS

    def __init__(
        self, *, name: str, title: Text, index: str, engine: SqlEngine, sql: str, files: str, pixels: int
    ) -> None:
        self.name = name
        self._title = title
        self._index = index
        self._engine = engine
        self._sql = sql
        self._files = files
        self._pixels = pixels

    def run(self, restored: Restored) -> CheckResult:
        folder = restored.instance(self._files).path
        if folder is None:
            raise SourceError(f"the source {self._files} was not restored to a folder")
        root = folder.resolve()
        counts = _Counts()
        for row in self._rows(restored):
            self._look(root, row, counts)
        for path in _files_below(root):
            counts.orphans += _key(path) not in counts.found
        holds = counts.images > 0 and not any(counts.wrong().values())
        expected = {"images": counts.images, **dict.fromkeys(counts.wrong(), 0)}
        actual = {"images": counts.images, **counts.wrong()}
        status = CheckStatus.PASS if holds else CheckStatus.FAIL
        return CheckResult(self.name, status, self.level, expected, actual, source=self._files, title=self._title)

    def _rows(self, restored: Restored) -> Iterator[tuple[Json, ...]]:
        for row in self._engine.rows(restored.instance(self._index), self._sql):
            if len(row) != len(COLUMNS):
                raise SourceError(f"the index query of {self.name} must give {', '.join(COLUMNS)}")
            yield row

    def _look(self, root: Path, row: tuple[Json, ...], counts: _Counts) -> None:
        path, size, digest, uid = row
        file = _inside(root, str(path))
        counts.images += 1
        if file is None:
            counts.missing += 1
            return
        counts.found.add(_key(file))
        try:
            counts.size += size is not None and file.stat().st_size != size
            counts.sha256 += digest is not None and _sha256(file) != digest
        except OSError:
            counts.unreadable += 1
            return
        measured = counts.images <= self._pixels
        found_uid, pixels_ok = _header(file, measured)
        counts.unreadable += found_uid is None
        counts.uid += found_uid is not None and uid is not None and found_uid != uid
        counts.pixels += not pixels_ok


def _inside(root: Path, path: str) -> Path | None:
    """The restored file; None when it is not there. A full path, or a link, may lead to production: that is not there."""
    file = Path(os.path.realpath(root / path))
    return file if file.is_relative_to(root) and file.is_file() else None


def _header(file: Path, measured: bool) -> tuple[str | None, bool]:
    """The file's SOP instance UID (None: it does not parse) and whether its pixel data is whole."""
    import pydicom
    from pydicom.errors import InvalidDicomError

    try:
        with warnings.catch_warnings():
            # they quote values, and values are patients' data
            warnings.simplefilter("ignore")
            dataset = pydicom.dcmread(file, stop_before_pixels=not measured)
            uid = str(dataset.SOPInstanceUID)
            return uid, not measured or _pixels_whole(dataset)
    except (InvalidDicomError, *UNPARSABLE):
        return None, True


def _pixels_whole(dataset: Json) -> bool:
    from pydicom.encaps import generate_frames
    from pydicom.pixels.utils import get_expected_length

    if "PixelData" not in dataset:
        # structured reports and the like have none; maps of measured values have them elsewhere
        return "Rows" not in dataset or "FloatPixelData" in dataset or "DoubleFloatPixelData" in dataset
    frames = int(dataset.get("NumberOfFrames", 1) or 1)
    if dataset.file_meta.TransferSyntaxUID.is_compressed:
        return sum(1 for _ in generate_frames(dataset.PixelData, number_of_frames=frames)) == frames
    # some makers pad more than the one byte that the standard has
    return bool(len(dataset.PixelData) >= get_expected_length(dataset))


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
