"""Locks: one holder, named to the others, and free again when it goes."""

import os
import sys
from pathlib import Path

import pytest

from drmgr.errors import LockedError, PreflightError
from drmgr.state.locks import FileLocks
from drmgr.system.command import Command, Runner

HOLD = """
import sys, time
from pathlib import Path
from drmgr.state.locks import FileLocks
with FileLocks(Path(sys.argv[1]), "backup").hold("his"):
    print("held", flush=True)
    time.sleep(600)
"""


def test_another_process_is_named_and_its_death_frees_the_lock(tmp_path: Path) -> None:
    with Runner().start(Command((sys.executable, "-c", HOLD, str(tmp_path)))) as process:
        assert next(process.lines()) == b"held\n"
        with pytest.raises(LockedError, match=f"his is in use by a backup of process {process.pid} on .* since 2"):
            hold_briefly(tmp_path, "his")
        hold_briefly(tmp_path, "pacs")
    assert (tmp_path / "his.holder.json").exists()
    hold_briefly(tmp_path, "his")


def test_a_second_holder_in_this_process_is_refused_too(tmp_path: Path) -> None:
    locks = FileLocks(tmp_path, "drill")
    with locks.hold("his"):
        for other in (locks, FileLocks(tmp_path)):
            with pytest.raises(LockedError, match=f"a drill of process {os.getpid()} ") as caught, other.hold("his"):
                pass
            assert caught.value.exit_code == 12
    hold_briefly(tmp_path, "his")


def test_the_lock_is_free_after_an_error_in_the_block(tmp_path: Path) -> None:
    with pytest.raises(KeyError), FileLocks(tmp_path).hold("his"):
        raise KeyError
    hold_briefly(tmp_path, "his")
    assert not list(tmp_path.glob("*.json"))


def test_the_note_of_a_dead_holder_is_not_believed(tmp_path: Path) -> None:
    with FileLocks(tmp_path).hold("his"):
        note = tmp_path / "his.holder.json"
        fresh = note.read_text()
        for stale in (fresh.replace(f'"pid": {os.getpid()}', '"pid": 999999999'), "{}", "[]", ""):
            note.write_text(stale)
            with pytest.raises(LockedError, match="another process, which has only just begun"):
                hold_briefly(tmp_path, "his")


def test_any_name_stays_inside_the_directory(tmp_path: Path) -> None:
    with FileLocks(tmp_path / "locks").hold("../drill/his"):
        pass
    assert [path.name for path in tmp_path.iterdir()] == ["locks"]


def test_a_directory_that_cannot_be_used_is_said(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(PreflightError, match="a lock cannot be taken") as caught:
        hold_briefly(tmp_path / "file" / "locks", "his")
    assert "file/locks" in caught.value.hint


def hold_briefly(directory: Path, name: str) -> None:
    with FileLocks(directory).hold(name):
        pass
