import json
import os
import subprocess
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from drmgr.scratch.label import FILE, new_label, read_label, write_label

NOW = datetime(2026, 1, 5, 14, 3, 22, tzinfo=UTC)


@pytest.fixture
def workspace(tmp_path: Path) -> Path:
    path = tmp_path / "drmgr-R1"
    path.mkdir()
    return path


def test_a_label_comes_back_as_written(workspace: Path) -> None:
    label = replace(new_label("R1", "host", NOW), sockets=("x",)).keeping(NOW)
    write_label(workspace, label)
    assert read_label(workspace) == label


def test_what_is_not_surely_ours_has_no_label(workspace: Path, tmp_path: Path) -> None:
    assert read_label(workspace) is None
    write_label(workspace, new_label("R2", "host", NOW))
    assert read_label(workspace) is None
    write_label(workspace, new_label("R1", "host", NOW))
    good = json.loads((workspace / FILE).read_text())
    broken: object
    for broken in ({**good, "more": 1}, {**good, "keep_until": "soon"}, {**good, "pid": "1"}, [], {"run": "R1"}):
        (workspace / FILE).write_text(json.dumps(broken))
        assert read_label(workspace) is None
    (workspace / FILE).write_text(json.dumps(good))
    link = tmp_path / "elsewhere"
    workspace.rename(link)
    workspace.symlink_to(link)
    assert read_label(workspace) is None


def test_a_workspace_is_orphaned_when_its_very_process_is_gone() -> None:
    label = new_label("R1", "host", NOW)
    assert label.pid == os.getpid()
    assert not label.orphaned()
    assert replace(label, started=label.started + 1).orphaned()
    assert replace(label, boot="another").orphaned()
    with subprocess.Popen(["true"]) as ended:
        pass
    assert replace(label, pid=ended.pid).orphaned()


def test_a_workspace_is_kept_up_to_its_instant() -> None:
    label = new_label("R1", "host", NOW)
    assert not label.kept(NOW)
    assert label.keeping(NOW).kept(NOW - timedelta(seconds=1))
    assert not label.keeping(NOW).kept(NOW)
