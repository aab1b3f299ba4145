"""What every Scratch must hold to: private, labelled, gone at the end."""

import os
import pwd
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import suppress
from datetime import timedelta
from pathlib import Path
from typing import Any

import psycopg
import pytest

from drmgr.errors import Interrupted, PreflightError, ScratchError, ToolError
from drmgr.model import Instance, Recipe
from drmgr.scratch.label import read_label, write_label
from drmgr.scratch.processes import processes_in
from drmgr.scratch.workspace import ScratchHost
from drmgr.system.clock import SystemClock
from drmgr.system.command import Runner
from tests.support.folders import passable_directory
from tests.support.postgres import SERVER_USER, installed_major

ROOT = os.geteuid() == 0


@pytest.fixture
def directory() -> Iterator[Path]:
    with passable_directory() as path:
        yield path


def host(directory: Path) -> ScratchHost:
    return ScratchHost(directory, SERVER_USER, Runner(), SystemClock(), "test")


def recipe(**settings: str) -> Recipe:
    return Recipe("his", "postgresql", version=installed_major(), settings=settings)


def ask(instance: Instance, question: str) -> str:
    with psycopg.connect(
        host=str(instance.socket), dbname="template1", user=instance.user, passfile=str(instance.passfile)
    ) as session:
        row = session.execute(question.encode()).fetchone()
        assert row is not None
        return str(row[0])


def owners(pids: list[int]) -> set[int]:
    """Of those that still run: the process behind a closed connection may just be ending."""
    found = set()
    for pid in pids:
        with suppress(FileNotFoundError):
            found.add(Path(f"/proc/{pid}").stat().st_uid)
    return found


def test_a_server_is_private_and_gone_at_the_end(directory: Path) -> None:
    scratch = host(directory)
    with scratch.open("R1", 1) as workspace:
        instance = workspace.start(recipe())
        assert instance.host is None and instance.socket is not None and instance.passfile is not None
        assert ask(instance, "SHOW listen_addresses") == ""
        assert ask(instance, "SHOW unix_socket_permissions") == "0700"
        home = workspace.path / "pg-1"
        assert home.stat().st_mode & 0o077 == 0
        assert workspace.path.stat().st_mode & 0o066 == 0
        assert instance.passfile.stat().st_mode & 0o177 == 0
        if ROOT:
            assert home.stat().st_uid == pwd.getpwnam(SERVER_USER).pw_uid
            assert owners(processes_in(home)) == {home.stat().st_uid}
        (workspace.stage("his") / "dump").mkdir()
        assert workspace.stage("his").stat().st_mode & 0o077 == 0
    (proof,) = scratch.destructions()
    assert proof.gone and proof.processes_ended > 0 and proof.files > 900 and proof.bytes > 10_000_000
    assert list(directory.iterdir()) == []
    assert processes_in(directory) == []


@pytest.mark.parametrize("way_out", [Interrupted("SIGTERM"), KeyboardInterrupt(), ScratchError("x")])
def test_every_way_out_destroys(directory: Path, way_out: BaseException) -> None:
    scratch = host(directory)
    with pytest.raises(type(way_out)), scratch.open("R1", 0) as workspace:
        workspace.start(recipe())
        raise way_out
    assert [proof.gone for proof in scratch.destructions()] == [True]
    assert list(directory.iterdir()) == []
    assert processes_in(directory) == []


def test_a_signal_in_the_middle_of_the_destruction_does_not_end_it(
    directory: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    scratch, real = host(directory), shutil.rmtree

    def struck(*arguments: Any, **options: Any) -> None:
        monkeypatch.undo()
        raise Interrupted("SIGTERM")

    with pytest.raises(Interrupted), scratch.open("R1", 1) as workspace:
        (workspace.stage("his") / "patients.dump").write_text("x")
        monkeypatch.setattr(shutil, "rmtree", struck)
    assert shutil.rmtree is real
    assert list(directory.iterdir()) == []
    assert [proof.gone for proof in scratch.destructions()] == [True]


def test_a_long_path_gets_a_short_socket_that_is_removed_too(directory: Path) -> None:
    deep = directory / ("d" * 100)
    scratch = host(deep)
    with scratch.open("R1", 0) as workspace:
        instance = workspace.start(recipe())
        assert instance.socket is not None and workspace.path not in instance.socket.parents
        assert instance.socket.stat().st_mode & 0o077 == 0
        assert ask(instance, "SELECT 1") == "1"
    assert not instance.socket.exists()
    assert list(deep.iterdir()) == []


def test_what_a_kill_left_is_reaped_and_nothing_else(directory: Path) -> None:
    (directory / "drmgr-foreign").mkdir()
    (directory / "drmgr-foreign" / "label.json").write_text('{"run": "foreign"}')
    argv = [sys.executable, "-m", "tests.support.scratch_holder", str(directory), "R1"]
    with (
        host(directory).open("LIVE", 0),
        subprocess.Popen(argv, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as holder,
    ):
        assert holder.stdout is not None
        assert holder.stdout.readline() == b"ready\n"
        assert host(directory).reap() == ()
        assert processes_in(directory / "drmgr-R1") != []
        holder.send_signal(signal.SIGKILL)
        holder.wait()
        (proof,) = host(directory).reap()
        assert proof.gone and proof.processes_ended > 0
        assert proof.path == str(directory / "drmgr-R1")
        assert sorted(path.name for path in directory.iterdir()) == ["drmgr-LIVE", "drmgr-foreign"]
        assert processes_in(directory) == []


def test_a_kept_workspace_outlives_its_block_until_its_time(directory: Path) -> None:
    scratch, now = host(directory), SystemClock().now()
    with scratch.open("R1", 0) as workspace:
        instance = workspace.start(recipe())
        scratch.keep("R1", now + timedelta(hours=2))
    assert scratch.destructions() == ()
    assert scratch.reap() == ()
    assert ask(instance, "SELECT 1") == "1"
    label = read_label(workspace.path)
    assert label is not None
    write_label(workspace.path, label.keeping(now))
    (proof,) = scratch.reap()
    assert proof.gone
    assert processes_in(directory) == []


def test_what_is_kept_can_be_ended_before_its_time_and_what_is_in_use_stays(directory: Path) -> None:
    scratch, now = host(directory), SystemClock().now()
    with scratch.open("KEPT", 0):
        scratch.keep("KEPT", now + timedelta(hours=2))
    with scratch.open("LIVE", 0) as workspace:
        assert [(Path(proof.path).name, proof.gone) for proof in scratch.end_kept()] == [("drmgr-KEPT", True)]
        assert workspace.path.is_dir()


def test_what_does_not_fit_is_refused_with_both_numbers(directory: Path) -> None:
    with pytest.raises(ScratchError, match=r"needs 1100000000000000000 bytes.* has \d+ bytes free"):  # noqa: SIM117
        with host(directory).open("R1", 10**18):
            pass
    assert list(directory.iterdir()) == []


def test_a_run_cannot_take_the_workspace_of_another(directory: Path) -> None:
    with host(directory).open("R1", 0) as workspace:
        with pytest.raises(ScratchError, match="already"), host(directory).open("R1", 0):
            pass
        assert workspace.path.is_dir()


def test_missing_locale_version_and_engine_are_named(directory: Path) -> None:
    with host(directory).open("R1", 0) as workspace:
        with pytest.raises(ScratchError, match=r"xx_XX\.UTF-8") as caught:
            workspace.start(recipe(collate="xx_XX.UTF-8", ctype="C"))
        assert "locale-gen" in caught.value.hint
        with pytest.raises(ToolError) as missing:
            workspace.start(Recipe("his", "postgresql", version="11"))
        assert "postgresql-11" in missing.value.hint
        with pytest.raises(PreflightError, match="oracle"):
            workspace.start(Recipe("his", "oracle"))


def test_a_start_that_fails_tells_why_and_leaves_no_process(directory: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from drmgr.scratch import postgres

    monkeypatch.setitem(postgres.FAST, "wal_level", "nonsense")
    scratch = host(directory)
    with pytest.raises(ScratchError, match="wal_level"), scratch.open("R1", 0) as workspace:
        workspace.start(recipe())
    assert list(directory.iterdir()) == []
    assert processes_in(directory) == []


@pytest.mark.skipif(not ROOT, reason="only root runs servers as another account")
def test_a_directory_closed_to_the_servers_account_is_refused(directory: Path) -> None:
    closed = directory / "closed"
    closed.mkdir(mode=0o700)
    with host(closed / "scratch").open("R1", 0) as workspace, pytest.raises(ScratchError, match="cannot reach"):
        workspace.start(recipe())


def test_a_folder_is_empty_and_staged_data_can_be_dropped(directory: Path) -> None:
    with host(directory).open("R1", 0) as workspace:
        instance = workspace.start(Recipe("images", "files"))
        assert instance.path is not None and list(instance.path.iterdir()) == []
        staged = workspace.stage("images")
        (staged / "files").mkdir()
        workspace.drop(staged)
        assert not staged.exists()
        with pytest.raises(ScratchError, match="not staged"):
            workspace.drop(workspace.path)
        with pytest.raises(ScratchError, match="cannot be the name"):
            workspace.stage("../other")
