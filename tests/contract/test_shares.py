"""Facts that several sessions took together are those that one takes alone, whatever else goes on at the server."""

import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import replace
from pathlib import Path
from zoneinfo import ZoneInfo

import psycopg
import pytest

from drmgr.engines.postgres import shares
from drmgr.engines.postgres.capture import lock_tables
from drmgr.engines.postgres.connection import Endpoint, Session, connect, pin
from drmgr.engines.postgres.facts import Scope, read_groups
from drmgr.errors import SourceError
from drmgr.scratch.processes import wait_until
from drmgr.system.clock import SystemClock
from tests.support.postgres import PostgresServer, postgres_server

SCOPE = Scope(full=True, newest=(), zone=ZoneInfo("Asia/Shanghai"))
ROWS = 5000
WAITING = "SELECT count(*) FROM pg_locks WHERE NOT granted AND relation = 'big'::regclass"


@pytest.fixture(scope="module")
def server() -> Iterator[PostgresServer]:
    with postgres_server() as running:
        yield running


@pytest.fixture
def endpoint(server: PostgresServer, tmp_path: Path) -> Endpoint:
    """A database with a table of some hundred blocks, rows of which were moved and removed, and a small one."""
    database = server.create_database()
    server.execute(
        database,
        f"CREATE TABLE big AS SELECT n, repeat(md5(n::text), 8) AS text FROM generate_series(1, {ROWS}) n;"
        "UPDATE big SET text = md5(text) WHERE n % 7 = 0; DELETE FROM big WHERE n % 11 = 0;"
        "CREATE TABLE small AS SELECT 1 AS n; CREATE TABLE empty (n int)",
    )
    return Endpoint(server.socket, 5432, "postgres", database, server.plan.passfile)


@pytest.fixture(autouse=True)
def small_pieces(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(shares, "PIECE_BYTES", 64 * 1024)
    monkeypatch.setattr("os.cpu_count", lambda: 4)


@pytest.fixture
def helpers(monkeypatch: pytest.MonkeyPatch) -> list[Endpoint]:
    """Where sessions beside the view's were asked for."""
    asked: list[Endpoint] = []

    def counted(place: Endpoint) -> Session:
        asked.append(place)
        return connect(place)

    monkeypatch.setattr(shares, "connect", counted)
    return asked


@contextmanager
def view_of(endpoint: Endpoint) -> Iterator[Session]:
    with connect(endpoint) as session:
        pin(session)
        session.isolation_level = psycopg.IsolationLevel.REPEATABLE_READ
        session.read_only = True
        lock_tables(session)
        session.execute("SELECT 1")
        yield session
        session.rollback()


def test_facts_taken_together_are_those_taken_alone(endpoint: Endpoint, helpers: list[Endpoint]) -> None:
    with view_of(endpoint) as view:
        alone = read_groups(view, SCOPE)
        assert helpers == []
        assert read_groups(view, SCOPE, endpoint=endpoint) == alone
    assert helpers == [endpoint] * 3
    assert alone["tables"]["public.big"]["rows"] == ROWS - ROWS // 11


def test_what_was_committed_after_the_view_was_opened_is_in_no_share(
    server: PostgresServer, endpoint: Endpoint
) -> None:
    with view_of(endpoint) as view:
        before = read_groups(view, SCOPE)
        server.execute(
            endpoint.database,
            "DELETE FROM big WHERE n % 2 = 0; INSERT INTO big SELECT n, 'new' FROM generate_series(1, 9000) n",
        )
        assert read_groups(view, SCOPE, endpoint=endpoint) == before
    with view_of(endpoint) as view:
        assert read_groups(view, SCOPE, endpoint=endpoint) != before


def test_somebody_who_waits_for_the_table_keeps_nobody_waiting(server: PostgresServer, endpoint: Endpoint) -> None:
    def change() -> None:
        with suppress(psycopg.errors.LockNotAvailable):
            server.execute(endpoint.database, "SET lock_timeout = '30s'; ALTER TABLE big ADD COLUMN late int")
            changed.set()

    changed = threading.Event()
    with view_of(endpoint) as view:
        alone = read_groups(view, SCOPE)
        waiter = threading.Thread(target=change)
        waiter.start()
        assert wait_until(lambda: server.execute(endpoint.database, WAITING) == [(1,)], SystemClock(), 20)
        view.execute("SET LOCAL lock_timeout = '5s'")
        assert read_groups(view, SCOPE, endpoint=endpoint) == alone
    waiter.join()
    # had anybody waited behind it, it would have had to give up first
    assert changed.is_set()


def test_a_server_without_a_place_for_more_sessions_is_asked_by_one(endpoint: Endpoint) -> None:
    with view_of(endpoint) as view:
        assert read_groups(view, SCOPE, endpoint=replace(endpoint, port=5433)) == read_groups(view, SCOPE)


def test_an_error_in_the_view_ends_what_the_others_do(endpoint: Endpoint, monkeypatch: pytest.MonkeyPatch) -> None:
    sleeping, cancelled = threading.Event(), threading.Event()

    def answer(session: Session, _query: object) -> None:
        if session is view:
            assert sleeping.wait(20)
            raise psycopg.errors.DataCorrupted
        sleeping.set()
        try:
            session.execute("SELECT pg_sleep(30)")
        except psycopg.errors.QueryCanceled:
            cancelled.set()
            raise

    monkeypatch.setattr(shares, "_answer", answer)
    monkeypatch.setattr("os.cpu_count", lambda: 2)
    with view_of(endpoint) as view, pytest.raises(SourceError, match="the facts could not be read"):
        read_groups(view, SCOPE, endpoint=endpoint)
    assert cancelled.is_set()
