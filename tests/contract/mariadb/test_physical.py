"""Backups of a real server's own files: exact facts under load, what is refused, and what must not pass for whole."""

import shutil
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import pytest

from drmgr.engines.mariadb.engine import MariadbEngine
from drmgr.errors import DrmgrError, LoadError, PreflightError, ScratchError, SourceError, ToolError, UsageError
from drmgr.flows.restore import restore
from drmgr.flows.restoreplan import RestorePlan, ToConnection, ToScratch
from drmgr.model import CheckStatus, Facts, Instance
from drmgr.scratch.workspace import ScratchWorkspace
from tests.support.facts import differences
from tests.support.folder_sink import FolderSink
from tests.support.mariadb import LOG_RIGHTS, LOGGED, MariadbServer, MariadbSource, lock_tables, mariadb_server
from tests.support.mariadb_acts import MONEY, moving_money, quiet
from tests.support.mariadb_physical import MariadbPlace


@pytest.fixture
def place(server: MariadbServer, folder: Path) -> MariadbPlace:
    return MariadbPlace(folder, server)


def store(engine: MariadbEngine, folder: Path) -> Facts:
    with engine.capture() as capture:
        capture.store(FolderSink(folder))
        return capture.facts()


Recovered = Callable[[MariadbEngine, Path, Facts], Instance]


@pytest.fixture
def recovered(workspace: ScratchWorkspace) -> Recovered:
    def run(engine: MariadbEngine, stored: Path, facts: Facts) -> Instance:
        staged = workspace.stage(stored.name)
        shutil.copytree(stored, staged, symlinks=True, dirs_exist_ok=True)
        instance = workspace.start(replace(engine.recipe(facts), restored=staged))
        return engine.load(staged, instance, quiet)

    return run


@contextmanager
def busy(act: Callable[[], object]) -> Iterator[None]:
    """Does it over and over while the block runs."""
    stop = threading.Event()

    def work() -> None:
        while not stop.is_set():
            act()

    thread = threading.Thread(target=work)
    thread.start()
    try:
        yield
    finally:
        stop.set()
        thread.join()


def test_a_backup_under_load_comes_back_with_its_very_facts(server: MariadbServer, folder: Path) -> None:
    place = MariadbPlace(folder, server, real=True, integrity=True)
    place.sql(MONEY)
    server.execute("", "CREATE DATABASE IF NOT EXISTS beside")
    come_and_go = "CREATE TABLE beside.t (n int); INSERT INTO beside.t VALUES (1); DROP TABLE beside.t"
    with moving_money(server, place.database), busy(lambda: server.execute("", come_and_go)):
        points = [place.back_up() for _ in range(2)]
    for point in points:
        recovery, label = point.member("main").facts.groups["recovery"], point.member("main").facts.groups["origin"]
        assert recovery["log"] == label["binlog"]
        try:
            done = restore(place.bench, place.wired, RestorePlan(point.id, ToScratch(timedelta(hours=1))))
            assert set(point.members[0].versions) == {"server", "mariadb-backup"}
            assert set(done.outcome.origin.into["main"]) == {"server", "mariadb"}
            assert {check.name: check.status for check in done.outcome.checks} == dict.fromkeys(
                ("opens-main", "facts-main", "integrity-main"), CheckStatus.PASS
            )
            sums = "SELECT (SELECT SUM(amount) FROM a) + (SELECT SUM(amount) FROM b)"
            assert place.engine.scalar(done.instances["main"], sums) == 40000
        finally:
            place.end_kept()
    assert list(place.directory.glob("staging*")) == []


def test_every_kind_of_value_survives_files_and_replay(
    server: MariadbServer, folder: Path, recovered: Recovered
) -> None:
    source = MariadbSource(server, folder, physical=True)
    engine = source.engine
    assert isinstance(engine, MariadbEngine)
    engine.preflight()
    with busy(source.add):
        facts = store(engine, folder / "b")
    instance = recovered(engine, folder / "b", facts)
    assert differences(facts, engine.facts(instance, facts)) == []
    assert engine.integrity(instance).status is CheckStatus.PASS
    assert engine.identity(instance) != engine.identity(engine.target())
    source.alter(instance)
    assert differences(facts, engine.facts(instance, facts)) == ["tables: patient"]


def test_what_stands_against_a_physical_backup_is_told_before_it(
    place: MariadbPlace, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    place.engine.preflight()
    server = place.server

    def refused(match: str, **options: object) -> str:
        with pytest.raises(PreflightError, match=match) as caught:
            place.physical(**options).preflight()
        return caught.value.hint

    refused("not a data directory", data_directory=folder)
    copy = folder / "copy"
    copy.mkdir()
    (copy / "ibdata1").touch()
    refused(f"works in {server.private.data}.* and the site file says {copy}", data_directory=copy)
    link = server.private.data / place.database / "far.isl"
    link.touch()
    assert "logical" in refused("leads out of the data directory")
    link.unlink()
    for setting, good, bad, match in (
        ("binlog_format", "ROW", "MIXED", "binlog_format is MIXED"),
        ("expire_logs_days", "5", "0.01", "removes its binary logs after 864 s"),
    ):
        server.execute("", f"SET GLOBAL {setting} = {bad!r}" if bad.isalpha() else f"SET GLOBAL {setting} = {bad}")
        try:
            refused(match)
        finally:
            server.execute(
                "", f"SET GLOBAL {setting} = {good!r}" if good.isalpha() else f"SET GLOBAL {setting} = {good}"
            )
    monkeypatch.setattr("drmgr.engines.mariadb.datadir.free_bytes", lambda _path: 1000)
    refused(r"the copy needs \d+ bytes, and \S+ has 1000 bytes free")


def test_programs_of_another_series_are_named_with_their_package(place: MariadbPlace, folder: Path) -> None:
    for name, version in (("mariadb-backup", "11.4.2"), ("mariadb-binlog", "11.4.2"), ("mariadb", "11.4.2")):
        program = folder / "bin" / name
        program.parent.mkdir(exist_ok=True)
        program.write_text(f"#!/bin/sh\necho '{name} based on MariaDB server {version}-MariaDB Linux (x86_64)' >&2\n")
        program.chmod(0o755)
    with pytest.raises(ToolError, match=r"is of MariaDB 11\.4, and the server is 10\.11") as caught:
        place.physical(binaries=folder / "bin").preflight()
    assert "package mariadb-backup of MariaDB 10.11" in caught.value.hint


def test_a_copy_of_another_series_is_not_started(
    place: MariadbPlace, folder: Path, workspace: ScratchWorkspace
) -> None:
    facts = store(place.engine, folder / "b")
    recipe = replace(place.engine.recipe(facts), version="10.6", restored=folder / "b")
    with pytest.raises(ToolError, match=r"files of MariaDB 10\.6, and mariadbd on this host is 10\.11") as caught:
        workspace.start(recipe)
    assert "mariadb-server of MariaDB 10.6" in caught.value.hint


def test_a_server_that_dies_during_the_copy_leaves_nothing(folder: Path) -> None:
    with mariadb_server(**LOGGED) as mortal:
        mortal.execute("", LOG_RIGHTS)
        place = MariadbPlace(folder, mortal)
        place.sql(
            "CREATE TABLE big (n int, t text); INSERT INTO big SELECT seq, repeat(md5(seq), 30) FROM seq_1_to_60000"
        )
        sink = FolderSink(folder / "b")
        dying = threading.Timer(0.1, mortal.stop)
        with pytest.raises(SourceError), place.engine.capture() as capture:
            dying.start()
            capture.store(sink)
            capture.facts()
        dying.join()
        assert not (folder / "staging").exists()
        with pytest.raises(SourceError, match="no database server answers"):
            place.ship()


def test_a_long_lock_ends_the_backup_and_frees_those_who_wait_behind_it(place: MariadbPlace, folder: Path) -> None:
    engine = place.physical()
    engine.patience = 0.5
    holding, freed = threading.Event(), threading.Event()

    def hold() -> None:
        with lock_tables(place.server, f"{place.database}.note"):
            holding.set()
            freed.wait(60)

    thread = threading.Thread(target=hold)
    thread.start()
    try:
        assert holding.wait(10)
        with pytest.raises(SourceError, match=r"a lock on the server kept the backup waiting for"):
            store(engine, folder / "b")
        # who changes structure elsewhere had to wait behind the backup, and does no longer
        place.server.execute("", "SET lock_wait_timeout = 10; CREATE OR REPLACE TABLE mysql.not_locked (n int)")
    finally:
        freed.set()
        thread.join()
        place.server.execute("", "DROP TABLE IF EXISTS mysql.not_locked")


def flip_log(parts: Path) -> None:
    (path,) = (parts / "binlog").iterdir()
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(content)


def cut_log(parts: Path) -> None:
    (path,) = (parts / "binlog").iterdir()
    path.write_bytes(path.read_bytes()[:-60])


def drop_log(parts: Path) -> None:
    for path in (parts / "binlog").iterdir():
        path.unlink()


def lose_table(parts: Path) -> None:
    # not the .ibd: of a table that is young enough, mariadb-backup makes that anew from the redo log
    for path in (parts / "backup").glob("*/note.frm"):
        path.unlink()


DAMAGES: dict[str, Callable[[Path], object]] = {
    "no log": drop_log,
    "a flipped byte in the log": flip_log,
    "a log cut short": lambda parts: [
        path.write_bytes(path.read_bytes()[:-60]) for path in (parts / "binlog").iterdir()
    ],
    "no label": lambda parts: (parts / "label" / "replay.json").unlink(),
    "no redo log": lambda parts: (parts / "backup" / "ib_logfile0").unlink(),
    "no system tables": lambda parts: (parts / "backup" / "ibdata1").unlink(),
    "no settings": lambda parts: (parts / "backup" / "backup-my.cnf").unlink(),
    "a link": lambda parts: (parts / "backup" / "far").symlink_to("/"),
    "no table": lose_table,
}


def test_a_copy_that_is_not_whole_never_passes(
    place: MariadbPlace, folder: Path, workspace: ScratchWorkspace, recovered: Recovered
) -> None:
    with busy(lambda: place.sql("INSERT INTO note (text) VALUES ('more')")):
        facts = store(place.engine, folder / "whole")
    for number, (name, damage) in enumerate(DAMAGES.items()):
        parts = folder / f"parts-{number}"
        shutil.copytree(folder / "whole", parts)
        damage(parts)
        with pytest.raises(DrmgrError) as caught:
            instance = recovered(place.engine, parts, facts)
            assert differences(facts, place.engine.facts(instance, facts)) == [], name
            pytest.fail(f"{name}: the copy passed for whole")
        assert not isinstance(caught.value, ScratchError) or isinstance(caught.value, LoadError), name


def test_a_physical_point_is_not_loaded_into_a_living_server(place: MariadbPlace, folder: Path) -> None:
    place.back_up()
    store(place.engine, folder / "b")
    place.sql("INSERT INTO note (text) VALUES ('b')")
    before = place.gtid()
    with pytest.raises(UsageError, match="a physical backup, which is no server's but its own"):
        restore(place.bench, place.wired, RestorePlan("latest", ToConnection("his", place.engine, lambda: None)))
    # the engine itself does not take the flow's word for it
    with pytest.raises(LoadError, match="into a scratch server only"):
        place.engine.load(folder / "b", place.engine.target(), quiet)
    assert place.gtid() == before
