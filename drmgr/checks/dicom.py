"""Level 4 for image archives: each index row has its file, and the file is what the index says."""

import struct
import warnings
import zlib
from collections.abc import Mapping
from pathlib import Path

from drmgr.checks.filetree import FilesCheck, IndexedFiles
from drmgr.interfaces import SqlEngine
from drmgr.model import Json, Text

UNPARSABLE = (
    *(ArithmeticError, AssertionError, AttributeError, EOFError, LookupError, NotImplementedError, OSError),
    *(RecursionError, TypeError, ValueError, struct.error, zlib.error),
)
"""What pydicom raises on damaged files, apart from its own errors."""


class DicomCheck(FilesCheck):
    """As FilesCheck, of an index with a fourth column, the SOP instance UID.

    Every file's header is parsed by pydicom and its SOP instance UID compared; of the first ``pixels`` images (the
    query's own order) the pixel data is measured too: least length of uncompressed ones, number of frames of the others.
    """

    COLUMNS = ("path", "size", "sha256", "sop_instance_uid")
    TOTAL = "images"
    WRONG = ("missing", "size", "sha256", "unreadable", "uid", "pixels", "orphans")

    def __init__(self, *, name: str, title: Text, engine: SqlEngine, of: IndexedFiles, pixels: int) -> None:
        super().__init__(name=name, title=title, engine=engine, of=of)
        self._pixels = pixels

    def _look_inside(self, file: Path, row: tuple[Json, ...], number: int) -> Mapping[str, bool]:
        uid = row[3]
        found, whole = _header(file, number <= self._pixels)
        wrong_uid = found is not None and uid is not None and found != uid
        return {"unreadable": found is None, "uid": wrong_uid, "pixels": not whole}


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
