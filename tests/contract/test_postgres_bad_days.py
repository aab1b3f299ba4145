"""What goes wrong with PostgreSQL in earnest, and what other tools let pass: on real servers."""

import re
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import psycopg
import pytest

from drmgr.engines.postgres.connection import PINNED
from drmgr.errors import LoadError, SourceError
from drmgr.scratch.processes import wait_until
from drmgr.scratch.workspace import ScratchWorkspace
from drmgr.system.clock import SystemClock
from tests.support.facts import differences
from tests.support.folder_sink import FolderSink
from tests.support.postgres import PostgresServer, kill_server
from tests.support.postgres_bench import Make, folder, make, server, workspace

__all__ = ["folder", "make", "server", "workspace"]


@pytest.mark.parametrize("waited_for", [False, True])
def test_a_lock_that_lasts_too_long_is_told_with_who_holds_it(
    server: PostgresServer, make: Make, monkeypatch: pytest.MonkeyPatch, *, waited_for: bool
) -> None:
    """Also one that is held up itself: an ALTER TABLE behind a long report holds up everybody after it."""
    monkeypatch.setitem(PINNED, "lock_timeout", "300ms")
    database = server.create_database()
    server.execute(database, "CREATE TABLE a AS SELECT 1 AS n; GRANT ALL ON a TO his_app")
    place = f"host={server.socket} dbname={database}"
    waits = "SELECT count(*) FROM pg_locks WHERE NOT granted AND mode = 'AccessExclusiveLock'"
    with (
        psycopg.connect(place, user="his_app", password="a;b'c") as holder,
        psycopg.connect(place, user="postgres", password=server.password) as waiter,
        ThreadPoolExecutor() as pool,
    ):
        holder.execute("SELECT 'secret' FROM a" if waited_for else "LOCK TABLE a IN ACCESS EXCLUSIVE MODE")
        altered = pool.submit(waiter.execute, "ALTER TABLE a ADD m int") if waited_for else None
        try:
            assert not waited_for or wait_until(lambda: server.execute(database, waits) == [(1,)], SystemClock(), 30)
            with pytest.raises(SourceError) as told, make(server.connection(database)).capture():
                pass
        finally:
            # else the pool would wait for ever
            holder.rollback()
        pid = holder.info.backend_pid
        assert re.search(
            rf"held by process {pid} of user his_app, its transaction open for \d+ min", told.value.message
        )
        assert f"pg_terminate_backend({pid})" in told.value.hint and "secret" not in told.value.message
        assert altered is None or altered.result(10) is not None


MISSING = {
    "role": ("globals", b"his_owner", b"his_other", "role"),
    "extension": ("dump", b"pg_trgm", b"pg_trgx", "extension"),
}


@pytest.mark.parametrize("what", MISSING)
def test_what_scratch_lacks_is_an_error_and_no_pass(
    server: PostgresServer, make: Make, folder: Path, workspace: ScratchWorkspace, what: str
) -> None:
    """A role or an extension that is not where the dump goes: a peer went on without what needs it."""
    part, name, other, told = MISSING[what]
    database = server.create_database()
    server.execute(
        database, "CREATE EXTENSION pg_trgm; CREATE TABLE a AS SELECT 1 AS n; ALTER TABLE a OWNER TO his_owner"
    )
    engine = make(server.connection(database))
    with engine.capture() as capture:
        capture.store(FolderSink(folder / "parts"))
        facts = capture.facts()
    for path in (folder / "parts" / part).iterdir():
        path.write_bytes(path.read_bytes().replace(name, other))
    with pytest.raises(LoadError, match=f"did not load: .*{told}"):
        engine.load(folder / "parts", workspace.start(engine.recipe(facts)), lambda *_: None)


def test_a_public_schema_that_is_there_already_is_no_obstacle(
    server: PostgresServer, make: Make, folder: Path, workspace: ScratchWorkspace
) -> None:
    """Every new database has one; that of the dump has another owner and other rights."""
    database, prepared = server.create_database(), server.create_database()
    server.execute(
        database,
        "DROP SCHEMA public; CREATE SCHEMA public AUTHORIZATION his_owner; GRANT CREATE ON SCHEMA public TO his_app;"
        "CREATE TABLE public.a AS SELECT 1 AS n",
    )
    engine = make(server.connection(database))
    with engine.capture() as capture:
        capture.store(FolderSink(folder / "parts"))
        facts = capture.facts()
    target = make(server.connection(prepared))
    for at, instance in ((engine, workspace.start(engine.recipe(facts))), (target, target.target())):
        loaded = at.load(folder / "parts", instance, lambda *_: None)
        assert differences(facts, at.facts(loaded, facts)) == []
        assert (
            at.scalar(loaded, "SELECT nspowner::regrole::text FROM pg_namespace WHERE nspname = 'public'")
            == "his_owner"
        )


@pytest.mark.parametrize("during", ["roles", "tables", "statistics"])
def test_a_scratch_server_that_dies_in_any_phase_of_the_load_is_an_error(
    server: PostgresServer, make: Make, folder: Path, workspace: ScratchWorkspace, during: str
) -> None:
    database = server.create_database()
    server.execute(database, "CREATE TABLE a AS SELECT 1 AS n")
    engine = make(server.connection(database))
    with engine.capture() as capture:
        capture.store(FolderSink(folder / "parts"))
        facts = capture.facts()
    instance = workspace.start(engine.recipe(facts))

    def progress(_share: float, phase: str) -> None:
        if phase == during:
            kill_server(instance)

    with pytest.raises(LoadError):
        engine.load(folder / "parts", instance, progress)
