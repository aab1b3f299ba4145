"""PostgreSQL, physical, from afar: real servers under load whose files drmgr never touches."""

import shutil
import tarfile
from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import pytest

from drmgr.engines.postgres.remote import RemotePostgresEngine
from drmgr.errors import LoadError, PreflightError, SourceError
from drmgr.flows.drill import DrillPlan, drill
from drmgr.model import Facts, Instance, Level, Snapshot, Text, Verdict
from drmgr.scratch.workspace import ScratchHost
from drmgr.system.clock import SystemClock
from drmgr.system.command import Runner
from tests.support.facts import differences
from tests.support.folder_sink import FolderSink
from tests.support.folders import passable_directory
from tests.support.physical import KillingSink, Place, fill, pgbench, physical_server, tablespace
from tests.support.postgres import SERVER_USER, PostgresServer


@pytest.fixture(scope="module")
def server() -> Iterator[PostgresServer]:
    with passable_directory() as directory, physical_server(directory, segment_mib=1) as running:
        fill(running)
        yield running


@pytest.fixture
def folder() -> Iterator[Path]:
    with passable_directory() as path:
        yield path


def test_a_drill_plays_what_was_streamed_and_goes_on_by_the_log(server: PostgresServer, folder: Path) -> None:
    place = Place(folder, server, integrity=True, real=True)
    place.engine = place.make_remote()
    place.use(place.repository)
    place.engine.preflight()
    first, again = (place.back_up().members[0].parts for _ in range(2))
    assert [part.name for part in again] == ["cluster", "label", "wal"]
    # a stream deduplicates: what did not change is not stored again
    assert again[0].bytes_added < first[0].bytes_added / 4
    with pgbench(server, 100):
        point = place.back_up()
    place.ship()
    title = Text("演练", "drill")
    plan = DrillPlan("d", title, "server-lost", "hands-on", (place.wired,), point.id, Level.FACTS, at="newest")
    done = drill(place.bench, plan)
    assert set(point.members[0].versions) == {"server", "pg_basebackup"}
    assert set(done.record.outcomes[0].origin.into["main"]) == {"server"}
    (outcome,) = done.record.outcomes
    assert (outcome.error, outcome.verdict, outcome.level) == (None, Verdict.PASSED, Level.FACTS)
    assert server.execute("his", "SELECT count(*) FROM pg_replication_slots WHERE temporary") == [(0,)]


Recover = Callable[[RemotePostgresEngine, Path, Facts], Instance]


@pytest.fixture
def recovered(folder: Path) -> Iterator[Recover]:
    scratch = ScratchHost(folder / "scratch", SERVER_USER, Runner(), SystemClock(), "test")
    with scratch.open("R1", 0) as workspace:

        def recover(engine: RemotePostgresEngine, parts: Path, facts: Facts) -> Instance:
            staged = workspace.stage(f"copy-{len(list(folder.glob('scratch/*/staged/*')))}")
            staged.rmdir()
            shutil.copytree(parts, staged, symlinks=True)
            return workspace.start(replace(engine.recipe(facts), restored=staged))

        yield recover


def store(engine: RemotePostgresEngine, into: Path) -> Facts:
    with engine.capture() as capture:
        capture.store(FolderSink(into))
        return capture.facts()


def test_tablespaces_need_a_folder_for_a_copy_and_stay_off_their_old_place(
    server: PostgresServer, folder: Path, recovered: Recover
) -> None:
    place, staging = Place(folder, server), folder / "stag=ing"
    with tablespace(server, "archive") as space:
        server.execute("his", "CREATE TABLE in_archive TABLESPACE archive AS SELECT 1 AS n")
        with pytest.raises(PreflightError, match="has 1 tablespaces, so its files cannot be streamed"):
            place.make_remote().preflight()
        engine = place.make_remote(staging=staging)
        engine.preflight()
        facts = store(engine, folder / "b")
        assert not staging.exists()
        before = sorted(space.rglob("*"))
        instance = recovered(engine, folder / "b", facts)
        assert differences(facts, engine.facts(instance, facts)) == []
        assert engine.scalar(instance, "SELECT count(*) FROM in_archive") == 1
        assert sorted(space.rglob("*")) == before
        (part,) = (path for path in (folder / "b").glob("tablespace-*"))
        next(path for path in part.rglob("*") if path.is_file()).unlink()
        with pytest.raises(LoadError, match=r"not those that pg_basebackup wrote: .*pg_tblspc"):
            recovered(engine, folder / "b", facts)


def test_a_server_that_does_not_fit_into_the_staging_folder_is_refused(
    server: PostgresServer, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("drmgr.engines.postgres.remote.free_bytes", lambda _path: 4096)
    with tablespace(server, "roomy"), pytest.raises(PreflightError, match=r"may need \d+ bytes .* and 4096 are free"):
        Place(folder, server).make_remote(staging=folder / "staging").preflight()


def test_whatever_is_lost_or_changed_on_the_way_back_is_told(
    server: PostgresServer, folder: Path, recovered: Recover
) -> None:
    engine, stored = Place(folder, server).make_remote(), folder / "b"
    facts = store(engine, stored)
    archive = stored / "cluster/base.tar"
    whole = archive.read_bytes()
    with tarfile.open(archive) as members:
        victim = next(each for each in members if each.name.startswith("base/") and each.size >= 8192)
    flipped = bytearray(whole)
    flipped[victim.offset_data + 4000] ^= 1
    for content, told in (
        (bytes(flipped), f'checksum mismatch for file "{victim.name}"'),
        # as if a program had left one file out
        (
            whole[: victim.offset] + whole[victim.offset_data + victim.size :],
            f'"{victim.name}" is present in the manifest',
        ),
        (whole[: len(whole) // 2], r"cannot be unpacked|without the list"),
    ):
        archive.write_bytes(content)
        with pytest.raises(LoadError, match=told):
            recovered(engine, stored, facts)
    archive.write_bytes(whole)
    for segment in (stored / "wal").iterdir():
        segment.unlink()
    with pytest.raises(LoadError, match="WAL parsing failed"):
        recovered(engine, stored, facts)


def test_a_stream_of_another_cluster_does_not_come_into_the_repository(server: PostgresServer, folder: Path) -> None:
    sink = FolderSink(folder / "b")
    sink.before = Snapshot("a", datetime.now(UTC), ("part=cluster", "chain=1"))
    refused = pytest.raises(PreflightError, match="holds backups of the cluster 1, and the server is the cluster")
    with Place(folder, server).make_remote().capture() as capture, refused:
        capture.store(sink)
    assert sink.parts == []


@pytest.mark.parametrize("after", ["cluster", "label", "wal"])
def test_a_remote_server_that_dies_in_any_phase_leaves_no_backup(
    server: PostgresServer, folder: Path, after: str
) -> None:
    with pytest.raises(SourceError), Place(folder, server).make_remote().capture() as capture:
        try:
            capture.store(KillingSink(folder / "b", server, after))
            capture.facts()
        finally:
            server.private.start()
    assert server.execute("his", "SELECT count(*) FROM pg_replication_slots WHERE temporary") == [(0,)]


def test_an_account_is_told_what_it_lacks_for_a_stream(server: PostgresServer, folder: Path) -> None:
    place = Place(folder, server)
    for statement in (
        "CREATE ROLE afar LOGIN",
        "GRANT pg_read_all_data, pg_read_all_settings TO afar",
        f"ALTER ROLE afar PASSWORD '{server.password}'",
    ):
        place.sql(statement)
    place.user = "afar"
    engine = place.make_remote()
    for lacking, grant in (
        ("may not call pg_create_restore_point, pg_switch_wal", "GRANT EXECUTE ON FUNCTION pg_switch_wal() TO afar"),
        ("may not call pg_create_restore_point", "GRANT EXECUTE ON FUNCTION pg_create_restore_point(text) TO afar"),
        ("may not use replication slots", "ALTER ROLE afar REPLICATION"),
        ("may not call for a checkpoint", "GRANT pg_checkpoint TO afar"),
    ):
        with pytest.raises(PreflightError, match=lacking):
            engine.preflight()
        place.sql(grant)
    engine.preflight()
    hba = server.private.data / "pg_hba.conf"
    before = hba.read_text()
    hba.write_text("local all all scram-sha-256\n")
    try:
        place.sql("SELECT pg_reload_conf()")
        with pytest.raises(PreflightError, match="does not let user afar replicate from this host"):
            engine.preflight()
    finally:
        hba.write_text(before)
        place.sql("SELECT pg_reload_conf()")
    store(engine, folder / "b")
