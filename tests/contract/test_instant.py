"""The instant that a view of PostgreSQL and its log both know: under load, at saturation, with commits nobody sees yet."""

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import psycopg
import pytest

from drmgr.engines.postgres.cluster import FUNCTIONS_FROM_AFAR
from drmgr.engines.postgres.instant import PATIENCE_SECONDS
from drmgr.errors import SourceError
from drmgr.model import Instance, Part, Payload
from drmgr.scratch.processes import wait_until
from drmgr.system.clock import SystemClock
from tests.faults.conftest import moments
from tests.support.facts import differences
from tests.support.folder_sink import FolderSink
from tests.support.physical import Place, pgbench
from tests.support.physical_bench import folder, recovered, server, store
from tests.support.postgres import PostgresServer

__all__ = ["folder", "recovered", "server"]

BACKUPS = 3


def test_backups_under_load_recover_to_exactly_their_facts(
    server: PostgresServer, folder: Path, recovered: Callable[..., Instance]
) -> None:
    engine = Place(folder, server).engine
    with pgbench(server, 100):
        taken = [store(engine, folder / f"b{number}") for number in range(BACKUPS)]
    assert len({facts.groups["tables"]["public.pgbench_history"]["fingerprint"] for facts in taken}) == BACKUPS
    for number, facts in enumerate(taken):
        instance = recovered(engine, folder / f"b{number}", facts)
        assert differences(facts, engine.facts(instance, facts)) == []
        assert engine.scalar(instance, "SELECT pg_is_in_recovery()") is False


class Moments(SystemClock):
    """Runs what a test wants to happen just before the first, second … try to find an instant."""

    def __init__(self, *acts: Callable[[], None]) -> None:
        self._acts = list(acts)

    def sleep(self, seconds: float) -> None:
        super().sleep(seconds)
        if self._acts:
            self._acts.pop(0)()


@contextmanager
def limbo(server: PostgresServer) -> Iterator[tuple[Callable[[], None], Callable[[], None]]]:
    """What begins and what ends a commit that is in the log and in no snapshot, for it waits for its standby."""
    waits = "SELECT count(*) FROM pg_stat_activity WHERE wait_event = 'SyncRep'"
    auto = server.private.data / "postgresql.auto.conf"

    def commit() -> None:
        server.execute("his", "SET synchronous_commit = on; INSERT INTO note (text) VALUES ('in limbo')")

    def begin() -> None:
        auto.write_text("synchronous_standby_names = 'nobody'\n")
        server.execute("his", "SELECT pg_reload_conf()")
        # commits wait from when the checkpointer has read the file, and before a checkpoint it has
        server.execute("his", "CHECKPOINT")
        thread.start()
        assert wait_until(lambda: server.execute("his", waits) == [(1,)], SystemClock(), 10)

    def end() -> None:
        auto.write_text("")
        server.execute("his", "SELECT pg_reload_conf()")
        thread.join()

    thread = threading.Thread(target=commit)
    try:
        yield begin, end
    finally:
        end()


@pytest.mark.parametrize("when", ["after the files", "before the backup", "before the backup, from afar"])
def test_a_commit_that_is_logged_but_not_yet_seen_is_waited_for(
    server: PostgresServer, folder: Path, recovered: Callable[..., Instance], when: str
) -> None:
    place = Place(folder, server)
    make = place.make_remote if "afar" in when else place.make
    with limbo(server) as (begin, end):
        if when == "after the files":
            acts = (begin, lambda: None, end)
        else:
            begin()
            acts = (lambda: None, lambda: None, end)
        engine = make(clock=Moments(*acts))
        facts = store(engine, folder / "b")
    # two had to fail; the server's own work, as its autovacuum's, may cost one more
    assert facts.groups["recovery"]["tries"] >= 3
    instance = recovered(engine, folder / "b", facts)
    assert differences(facts, engine.facts(instance, facts)) == []


def test_an_account_that_may_not_look_who_waits_says_so(server: PostgresServer, folder: Path) -> None:
    """A long transaction may be a commit that waits: without the right to look, nobody can tell."""
    auto = server.private.data / "postgresql.auto.conf"
    dsn = f"host={server.socket} user=postgres password={server.password} dbname=his"
    place = Place(folder, server)
    place.sql("CREATE ROLE blind LOGIN REPLICATION")
    place.sql(f"ALTER ROLE blind PASSWORD '{server.password}'")
    place.sql("GRANT pg_read_all_data, pg_read_all_settings, pg_checkpoint TO blind")
    for function in FUNCTIONS_FROM_AFAR[:2]:
        place.sql(f"GRANT EXECUTE ON FUNCTION {function} TO blind")
    place.user = "blind"
    engine = place.make_remote(clock=Impatient())
    with psycopg.connect(dsn) as writer:
        writer.execute("SELECT pg_current_xact_id()")
        auto.write_text("synchronous_standby_names = 'nobody'\n")
        try:
            server.execute("his", "SELECT pg_reload_conf()")
            with pytest.raises(SourceError, match="cannot be seen without the role pg_read_all_stats"):
                store(engine, folder / "b")
            place.sql("SET synchronous_commit = off; GRANT pg_read_all_stats TO blind")
            # nobody waits: the long transaction is one that goes on, and there is time for two tries only
            store(engine, folder / "c")
        finally:
            auto.write_text("")
            server.execute("his", "SELECT pg_reload_conf()")


class Impatient(SystemClock):
    """A clock by which every try takes half of the time there is."""

    def sleep(self, seconds: float) -> None:
        super().sleep(seconds)
        self.ahead = getattr(self, "ahead", 0.0) + PATIENCE_SECONDS / 2

    def monotonic(self) -> float:
        return super().monotonic() + getattr(self, "ahead", 0.0)


def test_a_server_that_never_lets_it_is_reported(server: PostgresServer, folder: Path) -> None:
    engine = Place(folder, server).make(clock=Impatient())
    with limbo(server) as (begin, _):
        begin()
        with pytest.raises(
            SourceError, match=r"was found in 2 tries within 60 s: a commit from before the backup waits"
        ):
            store(engine, folder / "b")


class ActingSink(FolderSink):
    """Does something to the source once the files are stored."""

    def __init__(self, folder: Path, act: Callable[[], None]) -> None:
        super().__init__(folder)
        self._act = act

    def save(self, payload: Payload) -> Part:
        part = super().save(payload)
        if payload.part == "cluster":
            self._act()
        return part


@pytest.mark.parametrize("afar", [False, True])
def test_tables_that_go_and_come_while_the_files_are_read_are_as_at_the_instant(
    server: PostgresServer, folder: Path, recovered: Callable[..., Instance], *, afar: bool
) -> None:
    place = Place(folder, server)
    engine = place.make_remote() if afar else place.make()
    place.sql("CREATE TABLE dropped AS SELECT 1 AS n")

    def act() -> None:
        place.sql("DROP TABLE dropped; CREATE TABLE came AS SELECT 2 AS n; CHECKPOINT")

    with engine.capture() as capture:
        capture.store(ActingSink(folder / "b", act))
        facts = capture.facts()
    place.sql("DROP TABLE came")
    assert "public.came" in facts.groups["tables"] and "public.dropped" not in facts.groups["tables"]
    instance = recovered(engine, folder / "b", facts)
    assert differences(facts, engine.facts(instance, facts)) == []


@pytest.mark.parametrize("afar", [False, True])
def test_backups_of_a_saturated_server_recover_to_exactly_their_facts(
    server: PostgresServer, folder: Path, recovered: Callable[..., Instance], *, afar: bool
) -> None:
    """As many commits as the server can do; twenty backups of each kind with ``make faults``."""
    place = Place(folder, server)
    engine = place.make_remote() if afar else place.make()
    for number in range(moments(1, 20)):
        with pgbench(server, rate=0):
            facts = store(engine, folder / f"b{number}")
        instance = recovered(engine, folder / f"b{number}", facts)
        assert differences(facts, engine.facts(instance, facts)) == []
        print(f"{'afar' if afar else 'here'}: try {facts.groups['recovery']['tries']}", flush=True)
