"""Sealing: the chain grows, and never over a hole."""

import hashlib
import stat
from dataclasses import replace
from pathlib import Path

import pytest

from drmgr.errors import EvidenceError, UsageError
from drmgr.evidence.store import find, load
from drmgr.evidence.verify import verify_all
from tests.support.fake_catalog import FakeCatalog
from tests.unit.evidence import records
from tests.unit.evidence.sealing import KEY, change, open_store, seal


def test_documents_are_chained_by_the_bytes_of_their_files_and_remembered(tmp_path: Path) -> None:
    catalog = FakeCatalog()
    entries = seal(tmp_path, catalog, 3)

    assert [entry.sequence for entry in entries] == [1, 2, 3]
    assert catalog.evidence() == entries
    previous = None
    for entry in entries:
        path = Path(entry.path)
        assert path.name == f"{entry.sequence:06d}-{entry.id}.json"
        assert stat.S_IMODE(path.stat().st_mode) == 0o644
        assert load(path)["header"]["previous"] == previous
        previous = hashlib.sha256(path.read_bytes()).hexdigest()
        assert entry.sha256 == previous
    assert verify_all(tmp_path, KEY.public_key(), catalog.evidence()).ok


def test_free_text_never_stops_the_sealing_of_a_failed_drill(tmp_path: Path) -> None:
    record = records.failed()
    outcome = record.outcomes[0]
    leaking = replace(outcome, checks=(replace(outcome.checks[2], actual="张三"),))
    entry = open_store(tmp_path, FakeCatalog()).seal(replace(record, outcomes=(leaking, record.outcomes[1])))

    assert load(Path(entry.path))["checks"][0]["actual"] == {"withheld": "free-text"}


def test_nothing_is_sealed_over_a_cut_off_tail(tmp_path: Path) -> None:
    catalog = FakeCatalog()
    entries = seal(tmp_path, catalog, 3)
    Path(entries[2].path).unlink()

    with pytest.raises(EvidenceError, match="document 3 is in the catalog but not in"):
        open_store(tmp_path, catalog).seal(records.passed())
    assert len(list(tmp_path.glob("*.json"))) == 2


def test_nothing_is_sealed_over_a_document_that_changed(tmp_path: Path) -> None:
    catalog = FakeCatalog()
    entries = seal(tmp_path, catalog, 2)
    change(Path(entries[0].path), lambda statement: statement["predicate"]["verdict"].update(level=6))

    with pytest.raises(EvidenceError, match="not the one that was sealed"):
        open_store(tmp_path, catalog).seal(records.passed())


def test_a_lost_catalog_is_taught_again_by_good_documents_only(tmp_path: Path) -> None:
    entries = seal(tmp_path, FakeCatalog(), 2)
    empty = FakeCatalog()
    third = open_store(tmp_path, empty).seal(records.passed())

    assert third.sequence == 3
    assert [(entry.id, entry.sha256) for entry in empty.evidence()[:2]] == [(e.id, e.sha256) for e in entries]

    change(Path(third.path), lambda statement: statement["predicate"]["verdict"].update(level=6))
    with pytest.raises(EvidenceError, match="verdict"):
        open_store(tmp_path, FakeCatalog()).seal(records.passed())


def test_documents_are_found_by_id_run_number_and_sequence(tmp_path: Path) -> None:
    entries = seal(tmp_path, FakeCatalog(), 2)

    for wanted in (entries[1].id, "RUN1", "DR-20260105-000002", "2"):
        assert find(tmp_path, wanted) == Path(entries[1].path)
    with pytest.raises(UsageError, match="nobody"):
        find(tmp_path, "nobody")


def test_a_folder_that_cannot_be_made_is_an_evidence_error(tmp_path: Path) -> None:
    (tmp_path / "file").touch()

    with pytest.raises(EvidenceError, match="cannot be written"):
        open_store(tmp_path / "file" / "evidence", FakeCatalog()).seal(records.passed())
