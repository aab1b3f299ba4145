"""Damaged in one way at a time, an archive's damage is counted under its own name and no other."""

import hashlib
import shutil
import warnings
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import UTC, date, datetime
from pathlib import Path

import pydicom
import pytest

from drmgr.checks.dicom import DicomCheck
from drmgr.checks.filetree import IndexedFiles
from drmgr.demo.dicom import Picture, uid, write_picture
from drmgr.demo.pacs_rows import ImagingOrder
from drmgr.errors import SourceError
from drmgr.model import CheckResult, CheckStatus, Instance, Json, Restored, Text
from tests.support.demo_data import restored_hospital

NOW = datetime(2026, 1, 5, 9, tzinfo=UTC)


@dataclass
class Archive:
    """A folder of images and the rows that index it."""

    root: Path
    rows: list[list[Json]]

    def file(self, number: int) -> Path:
        return self.root / str(self.rows[number][0])


class Index:
    """Answers with the archive's rows."""

    def __init__(self, archive: Archive) -> None:
        self._archive = archive

    def rows(self, of: Instance, sql: str) -> Iterator[tuple[Json, ...]]:
        assert (of.engine, sql) == ("fake", "rows")
        return map(tuple, self._archive.rows)


@pytest.fixture(scope="module")
def master(tmp_path_factory: pytest.TempPathFactory) -> Archive:
    root = tmp_path_factory.mktemp("master")
    rows: list[list[Json]] = []
    for number in range(3):
        order = ImagingOrder(number, f"M{number}", "张三", "M", date(1980, 1, 1), "头颅CT", NOW)
        study, series, sop = (uid(f"{kind}{number}") for kind in ("study", "series", "sop"))
        picture = Picture(order, "A1", "CT", study, series, sop, 1, number, NOW, NOW)
        rows.append([*write_picture(root, picture), sop])
    return Archive(root, rows)


@pytest.fixture
def archive(master: Archive, tmp_path: Path) -> Archive:
    shutil.copytree(master.root, tmp_path / "images")
    return Archive(tmp_path / "images", [list(row) for row in master.rows])


def look(archive: Archive, *, pixels: int = 3) -> CheckResult:
    check = DicomCheck(
        name="d",
        title=Text("题", "title"),
        engine=Index(archive),  # type: ignore[arg-type]
        of=IndexedFiles("index", "rows", "images"),
        pixels=pixels,
    )
    restored: Restored = restored_hospital(archive.root, images=archive.root)
    with warnings.catch_warnings(record=True) as said:
        result = check.run(restored)
    assert said == [], "warnings quote values of patients"
    return result


def wrong(result: CheckResult) -> dict[str, int]:
    assert result.actual is not None
    return {name: count for name, count in result.actual.items() if count and name != "images"}


def hashes_agree(archive: Archive, number: int) -> None:
    """The index is made to say what the file is now, so that only the parser can find the damage."""
    content = archive.file(number).read_bytes()
    archive.rows[number][1:3] = [len(content), hashlib.sha256(content).hexdigest()]


def test_a_whole_archive_passes(archive: Archive) -> None:
    result = look(archive)
    assert (result.status, wrong(result), result.actual["images"]) == (CheckStatus.PASS, {}, 3)


def test_an_index_without_rows_proves_nothing(archive: Archive) -> None:
    shutil.rmtree(archive.root)
    archive.root.mkdir()
    archive.rows.clear()
    assert look(archive).status is CheckStatus.FAIL


def missing(archive: Archive) -> None:
    archive.file(1).unlink()


def cut(archive: Archive) -> None:
    content = archive.file(1).read_bytes()
    archive.file(1).write_bytes(content[: len(content) // 2])


def cut_pixels(archive: Archive) -> None:
    dataset = pydicom.dcmread(archive.file(1))
    dataset.PixelData = dataset.PixelData[:-2]
    dataset.save_as(archive.file(1))
    hashes_agree(archive, 1)


def cut_before_the_uid(archive: Archive) -> None:
    archive.file(1).write_bytes(archive.file(1).read_bytes()[:200])
    hashes_agree(archive, 1)


def no_dicom(archive: Archive) -> None:
    archive.file(1).write_bytes(b"x" * 9000)
    hashes_agree(archive, 1)


def changed_pixel(archive: Archive) -> None:
    content = bytearray(archive.file(1).read_bytes())
    content[-50] ^= 1
    archive.file(1).write_bytes(content)


def other_image(archive: Archive) -> None:
    """Two rows that name each other's files, sizes and hashes, but not each other's UID."""
    archive.rows[0][:3], archive.rows[1][:3] = archive.rows[1][:3], archive.rows[0][:3]


def orphan(archive: Archive) -> None:
    (archive.root / "new").mkdir()
    shutil.copy(archive.file(1), archive.root / "new" / "copy.dcm")


def full_path(archive: Archive) -> None:
    """As an index may hold it: where the file lies in production, which is not where it was restored to."""
    production = archive.root.parent / "production.dcm"
    shutil.copy(archive.file(1), production)
    archive.rows[1][0] = str(production)


def link_to_production(archive: Archive) -> None:
    production = archive.root.parent / "production.dcm"
    archive.file(1).rename(production)
    archive.file(1).symlink_to(production)


def climbing_path(archive: Archive) -> None:
    archive.file(1).rename(archive.root.parent / "outside.dcm")
    archive.rows[1][0] = "../outside.dcm"


@pytest.mark.parametrize(
    ("damage", "counted"),
    [
        (missing, {"missing": 1}),
        (cut, {"size": 1, "sha256": 1, "pixels": 1}),
        (cut_pixels, {"pixels": 1}),
        (cut_before_the_uid, {"unreadable": 1}),
        (no_dicom, {"unreadable": 1}),
        (changed_pixel, {"sha256": 1}),
        (other_image, {"uid": 2}),
        (orphan, {"orphans": 1}),
        (full_path, {"missing": 1, "orphans": 1}),
        (link_to_production, {"missing": 1}),
        (climbing_path, {"missing": 1}),
    ],
)
def test_damage_is_counted_under_its_name(
    archive: Archive, damage: Callable[[Archive], None], counted: dict[str, int]
) -> None:
    damage(archive)
    result = look(archive)
    assert (result.status, wrong(result)) == (CheckStatus.FAIL, counted)


def test_pixels_are_measured_only_of_the_first_images(archive: Archive) -> None:
    cut_pixels(archive)
    assert wrong(look(archive, pixels=1)) == {}
    assert wrong(look(archive, pixels=2)) == {"pixels": 1}


def test_null_in_the_index_is_not_compared(archive: Archive) -> None:
    changed_pixel(archive)
    archive.rows[1][1:] = [None, None, None]
    assert look(archive).status is CheckStatus.PASS


def test_no_damage_of_one_byte_ends_the_check(archive: Archive) -> None:
    """Whatever pydicom makes of it: an image is counted, and the check goes on."""
    content = archive.file(1).read_bytes()
    header = len(content) - 8192
    for position in range(0, header, 7):
        for value in (0x00, 0xFF):
            changed = bytearray(content)
            if changed[position] == value:
                continue
            changed[position] = value
            archive.file(1).write_bytes(changed)
            assert look(archive).actual["sha256"] == 1


def test_an_index_of_another_shape_is_an_error(archive: Archive) -> None:
    archive.rows[0].append(1)
    with pytest.raises(SourceError, match="must give"):
        look(archive)


def test_a_source_without_a_folder_is_an_error(archive: Archive) -> None:
    restored = restored_hospital(archive.root, images=archive.root)
    check = DicomCheck(
        name="d",
        title=Text("题", "title"),
        engine=Index(archive),  # type: ignore[arg-type]
        of=IndexedFiles("index", "rows", "main"),
        pixels=0,
    )
    with pytest.raises(SourceError, match="not restored to a folder"):
        check.run(restored)
