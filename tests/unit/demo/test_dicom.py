"""The pictures hold what DICOM PS3.3 asks of every CT and MR image."""

import io
from datetime import UTC, date, datetime

import pydicom
import pytest

from drmgr.demo.dicom import Picture, _encode
from drmgr.demo.pacs_rows import ImagingOrder

AT = datetime(2026, 1, 5, 9, 30, tzinfo=UTC)
NAMED = {
    "FrameOfReferenceUID", "ImageType", "InstanceNumber", "Manufacturer", "Modality", "PatientBirthDate", "PatientID",
    "PatientName", "PatientSex", "PixelSpacing", "PositionReferenceIndicator", "SOPClassUID", "SOPInstanceUID",
    "SamplesPerPixel", "SeriesInstanceUID", "SliceThickness", "StudyDate", "StudyID", "StudyInstanceUID", "StudyTime",
}  # fmt: skip
OF_CT = {"AcquisitionNumber", "KVP", "RescaleIntercept", "RescaleSlope"}
OF_MR = {
    "EchoTime", "EchoTrainLength", "MRAcquisitionType", "RepetitionTime", "ScanOptions", "ScanningSequence",
    "SequenceVariant",
}  # fmt: skip
MAY_BE_EMPTY = {"PositionReferenceIndicator", "ScanOptions"}


@pytest.mark.parametrize(("modality", "more"), [("CT", OF_CT), ("MR", OF_MR)])
def test_what_must_be_there_is_there(modality: str, more: set[str]) -> None:
    order = ImagingOrder(1, "P1", "王芳", "F", date(1980, 1, 2), "头颅", AT)
    picture = Picture(order, "A1", modality, "2.25.1", "2.25.2", "2.25.3", 1, 1, AT, AT)
    read = pydicom.dcmread(io.BytesIO(_encode(picture)))
    wanted = NAMED | more
    assert wanted <= set(read.dir())
    assert [name for name in wanted - MAY_BE_EMPTY if read[name].is_empty] == []
    assert len(read.PixelData) == 2 * read.Rows * read.Columns
