"""What is still to come of restores, as it is remembered."""

from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import pytest

from drmgr.errors import PreflightError
from drmgr.model import OccasionKind, Rest, Told
from drmgr.state.rest_book import FileRestBook

NOW = datetime(2026, 1, 5, 14, 3, 22, 123456, tzinfo=UTC)
REST = Rest("R1", "R1", "pacs", "P1", Path("/back/现"), NOW, ("files",), "", NOW, NOW, None, ("files",))


def test_a_note_comes_back_as_it_was_and_takes_the_place_of_the_one_before(tmp_path: Path) -> None:
    book = FileRestBook(tmp_path / "rests")
    assert book.all() == []
    book.note(REST)
    told = {"told": Told(NOW, None, NOW), "occasion": OccasionKind.INCIDENT}
    later = replace(REST, worker="R2", t5=NOW, moving=("files",), **told)  # type: ignore[arg-type]
    book.note(later)
    other = replace(REST, target=Path("/back/other"))
    book.note(other)
    assert sorted(FileRestBook(tmp_path / "rests").all(), key=str) == sorted([later, other], key=str)
    book.strike(other)
    book.strike(other)
    assert book.all() == [later]


def test_a_note_that_cannot_be_read_or_written_is_told(tmp_path: Path) -> None:
    book = FileRestBook(tmp_path / "rests")
    book.note(REST)
    (path,) = (tmp_path / "rests").glob("*.json")
    path.write_text("{}")
    with pytest.raises(PreflightError, match="cannot be read"):
        book.all()
    (tmp_path / "file").write_text("")
    with pytest.raises(PreflightError, match="cannot be noted"):
        FileRestBook(tmp_path / "file").note(REST)
