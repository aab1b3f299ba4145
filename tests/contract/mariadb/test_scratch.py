"""MariaDB on scratch: as private as the PostgreSQL one, and gone at the end like it."""

import os
import pwd
from collections.abc import Iterator
from pathlib import Path

import pytest

from drmgr.errors import ScratchError, ToolError
from drmgr.model import Recipe
from drmgr.scratch import mariadb
from drmgr.scratch.processes import processes_in
from drmgr.scratch.workspace import ScratchHost
from drmgr.system.clock import SystemClock
from drmgr.system.command import Runner
from tests.support.folders import passable_directory
from tests.support.mariadb import SERVER_USER, ask

ROOT = os.geteuid() == 0


@pytest.fixture
def directory() -> Iterator[Path]:
    with passable_directory() as path:
        yield path


def host(directory: Path) -> ScratchHost:
    return ScratchHost(directory, SERVER_USER, Runner(), SystemClock(), "test")


def test_a_server_is_private_and_gone_at_the_end(directory: Path) -> None:
    scratch = host(directory)
    with scratch.open("R1", 0) as workspace:
        instance = workspace.start(
            Recipe("his", "mariadb", settings={"character-set-server": "gbk", "collation-server": "gbk_chinese_ci"})
        )
        assert instance.host is None and instance.passfile is not None
        home = workspace.path / "mariadb-1"
        assert home.stat().st_mode & 0o077 == 0
        assert instance.passfile.stat().st_mode & 0o177 == 0
        settings = "@@skip_networking, @@event_scheduler, @@local_infile, @@collation_server"
        assert ask(instance, f"SELECT {settings}") == ((1, "OFF", 0, "gbk_chinese_ci"),)
        accounts = "SELECT User, Host, JSON_VALUE(Priv, '$.authentication_string') <> '' FROM mysql.global_priv"
        assert ask(instance, f"{accounts} WHERE User <> 'mariadb.sys'") == (("root", "localhost", 1),)
        assert not (home / "opening.sql").exists()
        if ROOT:
            assert {Path(f"/proc/{pid}").stat().st_uid for pid in processes_in(home)} == {
                pwd.getpwnam(SERVER_USER).pw_uid
            }
    (proof,) = scratch.destructions()
    assert proof.gone and proof.processes_ended == 1 and proof.bytes > 10_000_000
    assert list(directory.iterdir()) == []
    assert processes_in(directory) == []


def test_a_long_path_gets_a_short_socket_that_is_removed_too(directory: Path) -> None:
    deep = directory / ("d" * 100)
    with host(deep).open("R1", 0) as workspace:
        instance = workspace.start(Recipe("his", "mariadb"))
        assert instance.socket is not None and workspace.path not in instance.socket.parents
        assert ask(instance, "SELECT 1") == ((1,),)
    assert not instance.socket.exists()
    assert list(deep.iterdir()) == []


def test_a_start_that_fails_tells_why_and_leaves_no_process(directory: Path) -> None:
    recipe = Recipe("his", "mariadb", settings={"collation-server": "nonsense_ci"})
    with pytest.raises(ScratchError, match="nonsense_ci"), host(directory).open("R1", 0) as workspace:
        workspace.start(recipe)
    assert list(directory.iterdir()) == []
    assert processes_in(directory) == []


def test_data_of_a_newer_server_and_a_missing_server_are_refused(
    directory: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with host(directory).open("R1", 0) as workspace:
        with pytest.raises(ToolError, match=r"his comes from MariaDB 99\.1"):
            workspace.start(Recipe("his", "mariadb", version="99.1"))
        monkeypatch.setattr(mariadb, "INSTALLED", ())
        monkeypatch.setenv("PATH", str(directory))
        with pytest.raises(ToolError, match="mariadbd") as caught:
            workspace.start(Recipe("his", "mariadb"))
        assert "mariadb-server" in caught.value.hint
