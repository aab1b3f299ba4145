"""PostgreSQL, physical: real servers under load, recoveries to the very instant of the facts, and what is refused."""

import os
import shutil
from collections.abc import Callable
from contextlib import suppress
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import psycopg
import pytest

from drmgr.errors import LoadError, PreflightError, SourceError
from drmgr.flows.backup import backup
from drmgr.flows.drill import DrillPlan, drill
from drmgr.model import CheckStatus, Instance, Level, Text, Verdict
from drmgr.scratch.server import server_programs
from tests.support.facts import differences
from tests.support.folder_sink import FolderSink
from tests.support.physical import KillingSink, Place, pgbench, physical_server, tablespace
from tests.support.physical_bench import folder, recovered, server, store
from tests.support.postgres import PostgresServer, installed_major

__all__ = ["folder", "recovered", "server"]


def test_a_drill_plays_a_physical_backup_from_a_real_repository(server: PostgresServer, folder: Path) -> None:
    place = Place(folder, server, integrity=True, real=True)
    # a cluster made a moment ago is in doubt as a whole, and then read again as a whole
    written_at(server, datetime.now(UTC) - timedelta(hours=1), "*")
    with pgbench(server, 100):
        point = backup(place.bench, place.wired).point
    written_at(server, point.created_at, "PG_VERSION")
    assert [part.name for part in point.members[0].parts] == ["cluster", "wal", "label"]
    again = backup(place.bench, place.wired).point
    # what changed while the first one was made is read again, and the rest is not
    assert [part.name for part in again.members[0].parts] == ["cluster", "reread-cluster", "wal", "label"]
    assert again.members[0].bytes_added < point.members[0].bytes_added
    done = drill(place.bench, DrillPlan("d", TITLE, "server-lost", "hands-on", (place.wired,), again.id, Level.FACTS))
    (outcome,) = done.record.outcomes
    assert (outcome.error, outcome.verdict, outcome.level) == (None, Verdict.PASSED, Level.FACTS)
    assert [proof.gone for proof in place.bench.scratch.destructions()] == [True]


def written_at(server: PostgresServer, instant: datetime, names: str) -> None:
    """Lets the cluster's files of those names look as if they had been written then."""
    for path in server.private.data.rglob(names):
        with suppress(FileNotFoundError):
            if path.is_file():
                os.utime(path, (instant.timestamp(), instant.timestamp()))


TITLE = Text("演练", "drill")


def test_a_restored_cluster_is_cut_off_from_production(
    server: PostgresServer, folder: Path, recovered: Callable[..., Instance]
) -> None:
    """What production set in its data directory must not act in a copy of it."""
    auto = server.private.data / "postgresql.auto.conf"
    before = auto.read_text()
    server.execute("his", "ALTER SYSTEM SET archive_command = 'touch /nonexistent'")
    server.execute("his", "ALTER SYSTEM SET shared_preload_libraries = 'not_there'")
    try:
        engine = Place(folder, server).engine
        facts = store(engine, folder / "b")
    finally:
        auto.write_text(before)
    assert (folder / "b/cluster/postgresql.auto.conf").read_text() != before
    instance = recovered(engine, folder / "b", facts)
    for setting, value in (
        *(("listen_addresses", ""), ("archive_mode", "off"), ("shared_preload_libraries", "")),
        *(("max_logical_replication_workers", "0"), ("max_replication_slots", "0")),
    ):
        assert engine.scalar(instance, f"SELECT current_setting('{setting}')") == value
    with pytest.raises(psycopg.OperationalError, match=r"no pg_hba\.conf entry"):
        psycopg.connect(host=str(instance.socket), user="somebody_else", dbname="his")


def test_a_target_that_the_log_does_not_hold_is_an_error(
    server: PostgresServer, folder: Path, recovered: Callable[..., Instance]
) -> None:
    engine = Place(folder, server).engine
    facts = store(engine, folder / "b")
    with pytest.raises(LoadError, match="the log ends before name never-made"):
        recovered(engine, folder / "b", facts, "never-made")


def test_a_missing_segment_is_an_error(
    server: PostgresServer, folder: Path, recovered: Callable[..., Instance]
) -> None:
    engine = Place(folder, server).engine
    facts = store(engine, folder / "b")
    for segment in (folder / "b/wal").iterdir():
        segment.unlink()
    with pytest.raises(LoadError, match=r"did not recover|log ends before"):
        recovered(engine, folder / "b", facts)


def lying_tools(folder: Path, directory: Path) -> Path:
    """PostgreSQL's programs, of which one looks elsewhere: as if another directory lay at the same path."""
    real, tools = server_programs(installed_major()), folder / "tools"
    tools.mkdir(exist_ok=True)
    script = f'#!/bin/sh\n[ "$1" = --version ] && exec {real}/pg_controldata --version\n'
    (tools / "pg_controldata").write_text(f"{script}exec {real}/pg_controldata --pgdata={directory}\n")
    (tools / "pg_controldata").chmod(0o755)
    (tools / "pg_waldump").unlink(missing_ok=True)
    (tools / "pg_waldump").symlink_to(real / "pg_waldump")
    return tools


def test_the_files_of_another_cluster_are_refused(server: PostgresServer, folder: Path) -> None:
    place = Place(folder, server)
    with physical_server(folder) as other:
        with pytest.raises(PreflightError, match="the server that user postgres reached works in"):
            place.make(data_directory=other.private.data).preflight()
        other.stop()
        theirs, ours = other.private.data, server.private.data
        engine = place.make(data_directory=ours, binaries=lying_tools(folder, theirs))
        with pytest.raises(PreflightError, match=r"holds the cluster \d+, and the connection's server is"):
            engine.preflight()
        # a copy has the identifier of its original
        stale = folder / "stale"
        shutil.copytree(ours, stale, ignore=lambda _folder, names: {"base", "pg_wal", "postmaster.pid"} & {*names})
        engine = place.make(data_directory=ours, binaries=lying_tools(folder, stale))
        engine.preflight()
        with pytest.raises(SourceError, match="does not show in it"):
            store(engine, folder / "b")
    with pytest.raises(PreflightError, match="not a data directory"):
        place.make(data_directory=folder).preflight()
    place.engine.preflight()


def test_a_tablespace_comes_along_and_stays_off_its_old_place(
    server: PostgresServer, folder: Path, recovered: Callable[..., Instance]
) -> None:
    engine = Place(folder, server).engine
    with tablespace(server, "archive") as space:
        server.execute("his", "CREATE TABLE in_archive TABLESPACE archive AS SELECT 1 AS n")
        facts = store(engine, folder / "b")
        instance = recovered(engine, folder / "b", facts)
        assert differences(facts, engine.facts(instance, facts)) == []
        before = sorted(space.rglob("*"))
        database = replace(instance, path=None)
        assert engine.scalar(
            database, "SELECT pg_tablespace_location(oid) FROM pg_tablespace WHERE spcname='archive'"
        ) != (str(space))
        assert sorted(space.rglob("*")) == before


def test_a_tablespace_made_meanwhile_spoils_the_backup(server: PostgresServer, folder: Path) -> None:
    told = pytest.raises(SourceError, match="a tablespace came or went while the backup ran")
    with Place(folder, server).engine.capture() as capture, tablespace(server, "late"), told:
        capture.store(FolderSink(folder / "b"))


def test_each_page_and_each_file_of_a_restored_cluster_is_proven(
    server: PostgresServer, folder: Path, recovered: Callable[..., Instance]
) -> None:
    engine = Place(folder, server).engine
    # the other database is not the source's, but it is in the backup
    server.execute("his", "DROP DATABASE IF EXISTS other")
    server.execute("his", "CREATE DATABASE other")
    server.execute("other", "CREATE TABLE t AS SELECT 1 AS n")
    facts = store(engine, folder / "b")
    instance = recovered(engine, folder / "b", facts)
    result = engine.integrity(instance)
    assert (result.status, result.message) == (CheckStatus.PASS, "")
    assert result.actual["databases"] >= 4 and result.actual["checksums"] is True
    assert instance.socket is not None
    (table,) = engine.rows(replace(instance, database="other"), "SELECT pg_relation_filepath('t')")
    with (instance.socket / "data" / str(table[0])).open("r+b") as file:
        file.seek(4096)  # between the line pointers and the row: nobody reads it
        file.write(b"rot")
    assert "checksums do not fit their pages" in engine.integrity(instance).message
    (instance.socket / "data" / str(table[0])).unlink()
    assert "1 missing files" in engine.integrity(instance).message


def test_a_file_lost_or_changed_on_the_way_back_is_told(
    server: PostgresServer, folder: Path, recovered: Callable[..., Instance]
) -> None:
    engine = Place(folder, server).engine
    facts = store(engine, folder / "b")
    victim = next(path for path in sorted((folder / "b/cluster/base").rglob("*_vm")))
    victim.unlink()
    with pytest.raises(LoadError, match=r"not those that were stored: 1 missing, such as base/\d+/\d+_vm"):
        recovered(engine, folder / "b", facts)


def test_nothing_is_left_on_the_server(server: PostgresServer, folder: Path) -> None:
    engine = Place(folder, server).engine
    store(engine, folder / "b")
    assert server.execute("his", "SELECT count(*) FROM pg_replication_slots") == [(0,)]
    assert list((server.plan.passfile.parent / "runtime").glob("label-*")) == []


@pytest.mark.parametrize("after", ["cluster", "wal", "label"])
def test_a_server_that_dies_in_any_phase_leaves_no_backup(server: PostgresServer, folder: Path, after: str) -> None:
    with pytest.raises(SourceError), Place(folder, server).engine.capture() as capture:
        try:
            capture.store(KillingSink(folder / "b", server, after))
            capture.facts()
        finally:
            server.private.start()
    assert server.execute("his", "SELECT count(*) FROM pg_replication_slots") == [(0,)]
