"""The restored files of a cluster: every one, whole, and nothing that leads elsewhere."""

import json
from pathlib import Path

import pytest

from drmgr.errors import LoadError
from drmgr.scratch.clusterfiles import Restored, arrange, refuse_gaps

FILES = {"global/pg_control": 4, "base/1/2": 8, "base/1/3": 6, "pg_tblspc/99/PG_15_1/1/4": 2}


@pytest.fixture
def restored(tmp_path: Path) -> Restored:
    """A backup in parts: a tablespace, and a file that was read twice."""
    parts, home = tmp_path / "parts", tmp_path / "home"
    put(parts / "cluster/global/pg_control", 4)
    put(parts / "cluster/base/1/2", 8)
    put(parts / "reread-cluster/base/1/3", 6)
    put(parts / "tablespace-99/PG_15_1/1/4", 2)
    put(parts / "label/backup_label", 1)
    (parts / "label/manifest.json").write_text(json.dumps({"files": FILES}))
    (parts / "wal").mkdir()
    home.mkdir()
    return Restored(parts, home)


def put(path: Path, size: int) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(b"x" * size)


def test_all_parts_come_together(restored: Restored) -> None:
    arrange(restored, "manifest.json")
    for name, size in FILES.items():
        assert (restored.data / name).stat().st_size == size
    assert (restored.data / "pg_tblspc/99").readlink() == restored.tablespaces / "99"
    assert (restored.data / "backup_label").is_file()


@pytest.mark.parametrize(
    ("name", "size", "told"),
    [
        ("cluster/base/1/2", None, "1 missing, such as base/1/2"),
        ("reread-cluster/base/1/3", None, "1 missing, such as base/1/3"),
        ("tablespace-99/PG_15_1/1/4", None, "1 missing, such as pg_tblspc/99/PG_15_1/1/4"),
        ("cluster/base/1/2", 7, "1 of another size, such as base/1/2"),
        ("cluster/base/1/5", 1, "1 unexpected, such as base/1/5"),
        ("cluster/base/1/3", 6, "two parts of the physical backup hold the file 3"),
        ("label/manifest.json", None, "the list of the backup's files cannot be read"),
        ("label/manifest.json", 3, "the list of the backup's files cannot be read"),
    ],
)
def test_what_is_not_as_it_was_stored_is_told(restored: Restored, name: str, size: int | None, told: str) -> None:
    if size is None:
        (restored.parts / name).unlink()
    else:
        put(restored.parts / name, size)
    with pytest.raises(LoadError, match=told):
        arrange(restored, "manifest.json")


def test_an_empty_list_proves_nothing(restored: Restored) -> None:
    (restored.parts / "label/manifest.json").write_text('{"files": {}}')
    with pytest.raises(LoadError, match="4 unexpected"):
        arrange(restored, "manifest.json")


@pytest.mark.parametrize(
    ("sizes", "whole"),
    [
        ({"7": 8, "7.1": 8, "7.2": 3}, True),
        ({"7": 8, "7.1": 0, "7.2": 0, "7_fsm": 3}, True),
        ({"7": 3}, True),
        ({"7": 8, "7.2": 3}, False),
        ({"7.1": 3}, False),
        ({"7": 5, "7.1": 3}, False),
        ({"7_fsm": 8, "7": 3, "7_fsm.2": 1}, False),
    ],
)
def test_a_relation_with_a_hole_is_refused(tmp_path: Path, sizes: dict[str, int], whole: bool) -> None:
    for folder in ("base/5", "global", "pg_tblspc"):
        (tmp_path / folder).mkdir(parents=True)
    for name, size in sizes.items():
        put(tmp_path / "base/5" / name, size)
    if whole:
        refuse_gaps(tmp_path, 8)
    else:
        with pytest.raises(LoadError, match="is not whole"):
            refuse_gaps(tmp_path, 8)
