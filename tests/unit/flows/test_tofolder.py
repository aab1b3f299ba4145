"""Restore into a folder: its name stands only for what came back whole."""

import os
from pathlib import Path

import pytest

from drmgr.errors import PreflightError
from drmgr.flows.tofolder import FolderTarget, merge, refuse_folder


def test_leftovers_and_small_disks_are_refused_before_anything_is_written(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from tests.unit.checks.test_order import member, restored

    point = restored(member("index", 0)).point
    target = FolderTarget(tmp_path / "back")
    refuse_folder(target, point.members, None)  # type: ignore[arg-type]
    for left in (target.partial, target.older):
        left.mkdir()
        with pytest.raises(PreflightError, match="left over from a restore that did not end"):
            refuse_folder(target, point.members, None)  # type: ignore[arg-type]
        left.rmdir()
    monkeypatch.setattr("drmgr.flows.tofolder.free_bytes", lambda path: 0)
    with pytest.raises(PreflightError, match=r"needs 1 bytes, and the disk of .* has 0 bytes free"):
        refuse_folder(target, point.members, None)  # type: ignore[arg-type]


def test_older_files_are_moved_between_newer_ones_and_folders_get_their_own_look(tmp_path: Path) -> None:
    older, newer = tmp_path / "older", tmp_path / "newer"
    for root, name in ((older, "both/old"), (older, "only/old"), (newer, "both/new")):
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_text(name)
    (older / "both" / "link").symlink_to("old")
    (older / "both").chmod(0o750)
    os.utime(older / "both", (1, 2))
    merge(older, newer)
    assert sorted(str(path.relative_to(newer)) for path in newer.rglob("*")) == [
        "both",
        "both/link",
        "both/new",
        "both/old",
        "only",
        "only/old",
    ]
    assert (newer / "both").stat().st_mode & 0o777 == 0o750
    assert (newer / "both").stat().st_mtime == 2
    assert not older.exists()


def test_a_file_that_came_twice_is_not_written_over(tmp_path: Path) -> None:
    for root in ("older", "newer"):
        (tmp_path / root).mkdir()
        (tmp_path / root / "file").write_text(root)
    with pytest.raises(FileExistsError):
        merge(tmp_path / "older", tmp_path / "newer")
    assert (tmp_path / "newer" / "file").read_text() == "newer"
