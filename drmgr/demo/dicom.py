"""Small valid DICOM files: an uncompressed 64 by 64 slice of a round head, with the patient the HIS knows."""

import hashlib
import io
import struct
from dataclasses import dataclass
from datetime import datetime
from functools import cache
from pathlib import Path

from drmgr.demo.pacs_rows import ImagingOrder

SIDE = 64
SKULL, BRAIN = 30, 27
"""Radii in pixels."""

UID_ROOT = "2.25."
"""The root that is free for numbers made like a UUID."""

STORAGE_CLASS = {"MR": "1.2.840.10008.5.1.4.1.1.4", "CT": "1.2.840.10008.5.1.4.1.1.2"}
UTF8 = "ISO_IR 192"


@dataclass(frozen=True)
class Picture:
    """One image to be written: whose, when, and its place in the study."""

    order: ImagingOrder
    accession: str
    modality: str
    study_uid: str
    series_uid: str
    sop_uid: str
    series_number: int
    number: int
    studied_at: datetime
    acquired_at: datetime


def uid(words: str) -> str:
    """A DICOM UID that is always the same for the same words."""
    number = int.from_bytes(hashlib.sha256(words.encode()).digest()[:16], "big")
    return f"{UID_ROOT}{number}"


def write_picture(root: Path, picture: Picture) -> tuple[str, int, str]:
    """Writes ``YYYY/STUDY/SERIES/SOP.dcm`` below ``root``; gives that path, the size in bytes and the SHA-256."""
    content = _encode(picture)
    path = Path(f"{picture.studied_at:%Y}") / picture.study_uid / picture.series_uid / f"{picture.sop_uid}.dcm"
    target = root / path
    target.parent.mkdir(parents=True, exist_ok=True)
    target.write_bytes(content)
    return path.as_posix(), len(content), hashlib.sha256(content).hexdigest()


def _encode(picture: Picture) -> bytes:
    from pydicom.dataset import Dataset, FileMetaDataset
    from pydicom.uid import UID, ExplicitVRLittleEndian

    data = Dataset()
    data.file_meta = FileMetaDataset()
    data.file_meta.MediaStorageSOPClassUID = UID(STORAGE_CLASS[picture.modality])
    data.file_meta.MediaStorageSOPInstanceUID = UID(picture.sop_uid)
    data.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
    values = {**_patient_values(picture), **_image_values(picture)}
    for keyword, value in values.items():
        setattr(data, keyword, value)
    out = io.BytesIO()
    data.save_as(out, enforce_file_format=True)
    return out.getvalue()


def _patient_values(picture: Picture) -> dict[str, object]:
    order, studied, acquired = picture.order, picture.studied_at, picture.acquired_at
    return {
        "SpecificCharacterSet": UTF8,
        "SOPClassUID": STORAGE_CLASS[picture.modality],
        "SOPInstanceUID": picture.sop_uid,
        "StudyInstanceUID": picture.study_uid,
        "SeriesInstanceUID": picture.series_uid,
        "StudyDate": f"{studied:%Y%m%d}",
        "StudyTime": f"{studied:%H%M%S}",
        "AcquisitionDate": f"{acquired:%Y%m%d}",
        "AcquisitionTime": f"{acquired:%H%M%S}",
        "AccessionNumber": picture.accession,
        "StudyID": picture.accession,
        "StudyDescription": order.content,
        "Modality": picture.modality,
        "ReferringPhysicianName": "",
        "PatientName": order.name,
        "PatientID": order.record_no,
        "PatientSex": order.sex,
        "PatientBirthDate": f"{order.birth_date:%Y%m%d}",
        "SeriesNumber": picture.series_number,
        "InstanceNumber": picture.number,
        "FrameOfReferenceUID": uid(f"frame {picture.study_uid}"),
        "PositionReferenceIndicator": "",
        "PatientPosition": "HFS",
        "Manufacturer": "drmgr demo",
    }


def _image_values(picture: Picture) -> dict[str, object]:
    values: dict[str, object] = {
        "SamplesPerPixel": 1,
        "PhotometricInterpretation": "MONOCHROME2",
        "Rows": SIDE,
        "Columns": SIDE,
        "PixelSpacing": [3.5, 3.5],
        "SliceThickness": 5,
        "ImagePositionPatient": [-112, -112, 5 * picture.number],
        "ImageOrientationPatient": [1, 0, 0, 0, 1, 0],
        "BitsAllocated": 16,
        "BitsStored": 12,
        "HighBit": 11,
        "PixelRepresentation": 0,
        "ImageType": ["ORIGINAL", "PRIMARY", "AXIAL"],
        "PixelData": _slice(picture.sop_uid),
    }
    return {**values, **_OF_MODALITY[picture.modality]}


_OF_MODALITY: dict[str, dict[str, object]] = {
    "CT": {"RescaleIntercept": -1024, "RescaleSlope": 1, "KVP": 120, "AcquisitionNumber": 1},
    "MR": {
        "ScanningSequence": "SE",
        "SequenceVariant": "NONE",
        "ScanOptions": "",
        "MRAcquisitionType": "2D",
        "RepetitionTime": 4000,
        "EchoTime": 90,
        "EchoTrainLength": 1,
    },
}
"""What DICOM PS3.3 asks of CT and MR images (A.3, A.4) beside what all have."""


def _slice(seed: str) -> bytes:
    """The head with a grain of its own, so that no two images share their pixels."""
    grain = bytearray(2 * SIDE * SIDE)
    grain[::2] = hashlib.shake_256(seed.encode()).digest(SIDE * SIDE).translate(_GRAINS)
    # all pixels are added up at once: as one number each, for no sum of two reaches into the pixel beside it
    return (_head() + int.from_bytes(grain, "little")).to_bytes(len(grain), "little")


_GRAINS = bytes(grey % 32 for grey in range(256))


@cache
def _head() -> int:
    """The pixels of 16 bits each, the first one lowest."""
    middle = (SIDE - 1) / 2

    def level(row: int, column: int) -> int:
        distance = ((row - middle) ** 2 + (column - middle) ** 2 * 1.4) ** 0.5
        if distance > SKULL:
            return 20
        return 3200 if distance > BRAIN else 1100 + int(12 * distance)

    levels = [level(row, column) for row in range(SIDE) for column in range(SIDE)]
    return int.from_bytes(struct.pack(f"<{len(levels)}H", *levels), "little")
