"""The identity of a DICOM file: to which study and series it belongs, which instance it is, when it was made."""

import struct
import warnings
import zlib
from typing import BinaryIO

from drmgr.model import Json

MARK, MARK_AT = b"DICM", 128
TAGS = ("StudyInstanceUID", "SeriesInstanceUID", "SOPInstanceUID", "StudyDate")
DATE_DIGITS = 8

UNPARSABLE = (
    *(ArithmeticError, AssertionError, AttributeError, EOFError, LookupError, NotImplementedError, OSError),
    *(RecursionError, TypeError, ValueError, struct.error, zlib.error),
)
"""What pydicom raises on damaged files, apart from its own errors."""


def identity(file: BinaryIO) -> Json:
    """``[study, series, instance, date]`` of an open file; None: it is not DICOM; ``"damaged"``: it cannot be read.

    UIDs are those in the file; the study's date is ``YYYYMMDD``, empty when there is none. No other value of the file
    leaves this function.
    """
    head = file.read(MARK_AT + len(MARK))
    if head[MARK_AT:] != MARK:
        return None
    import pydicom
    from pydicom.errors import InvalidDicomError

    file.seek(0)
    try:
        with warnings.catch_warnings():
            # they quote values, and values are patients' data
            warnings.simplefilter("ignore")
            dataset = pydicom.dcmread(file, stop_before_pixels=True, specific_tags=list(TAGS))
            study, series, instance = (str(dataset[tag].value) for tag in TAGS[:3])
            date = str(dataset.get("StudyDate", "") or "")
    except (InvalidDicomError, *UNPARSABLE):
        return "damaged"
    if not (study and series and instance):
        return "damaged"
    return [study, series, instance, date if len(date) == DATE_DIGITS and date.isdigit() else ""]
