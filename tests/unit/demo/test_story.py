"""What the synthetic hospital promises beyond the checks of its jobs."""

import hashlib
from datetime import datetime
from pathlib import Path

import pydicom
import pytest

from drmgr.demo.catching_up import shares
from drmgr.demo.his_rows import Patient
from drmgr.demo.hospital import scale_of
from drmgr.demo.pacs_rows import Image
from drmgr.demo.systems import HOMES
from drmgr.errors import UsageError
from tests.support.demo_data import NOW, hospital_rows

FIRST_BEYOND_BASIC_PLANE = 0x10000


def test_the_same_seed_gives_the_same_rows_and_files(tmp_path: Path) -> None:
    once, again = hospital_rows(tmp_path / "once"), hospital_rows(tmp_path / "again")

    # rows of images hold the hash of their file
    assert once == again
    assert hospital_rows(tmp_path / "other", seed=8) != once


def test_nothing_happens_after_the_present_and_something_just_before(tmp_path: Path) -> None:
    instants = [value for row in hospital_rows(tmp_path) for value in row if isinstance(value, datetime)]

    assert max(instants) <= NOW
    assert (NOW - max(instants)).total_seconds() < 3600


def test_names_hold_characters_of_four_bytes(tmp_path: Path) -> None:
    names = "".join(row.name for row in hospital_rows(tmp_path) if isinstance(row, Patient))

    assert any(ord(character) >= FIRST_BEYOND_BASIC_PLANE for character in names)


def test_images_are_valid_dicom_of_the_patients_of_the_his(tmp_path: Path) -> None:
    rows = hospital_rows(tmp_path)
    patients = {row.record_no: row for row in rows if isinstance(row, Patient)}
    images = [row for row in rows if isinstance(row, Image)]

    assert len(images) == len(list(tmp_path.rglob("*.dcm")))
    for image in images:
        content = (tmp_path / image.path).read_bytes()
        dataset = pydicom.dcmread(tmp_path / image.path)
        assert (len(content), hashlib.sha256(content).hexdigest()) == (image.size, image.sha256)
        assert dataset.SOPInstanceUID == image.sop_instance_uid == dataset.file_meta.MediaStorageSOPInstanceUID
        assert str(dataset.PatientName) == patients[dataset.PatientID].name
        assert len(dataset.PixelData) == 2 * dataset.Rows * dataset.Columns
        year, study, series, _ = Path(image.path).parts
        assert (year, study, series) == (dataset.StudyDate[:4], dataset.StudyInstanceUID, dataset.SeriesInstanceUID)


def test_the_work_is_shared_out_whole_and_about_evenly() -> None:
    others = [system for system in HOMES if system != "his"]
    for workers in (1, 2, 3, 20):
        parts = shares(others, workers)
        assert sorted(name for part in parts for name in part) == sorted(others)
        assert all(parts)
    # what works through images by the thousand shares a process with next to nothing
    first, _ = shares(others, 2)
    assert first[0] == "pacs"
    assert not {"emr", "lis", "mrm", "opd-emr"} & set(first)


@pytest.mark.parametrize("text", ["", "huge", "0", "-1", "nan", "1e9"])
def test_a_scale_that_is_none_is_refused(text: str) -> None:
    with pytest.raises(UsageError):
        scale_of(text)


def test_scales_multiply_tiny() -> None:
    assert scale_of("small").visits == 10 * scale_of("tiny").visits == scale_of("10").visits
    assert scale_of("50000").studies < scale_of("50000").visits
