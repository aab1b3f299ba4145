"""A standby as the source of a backup: it answers for what it has, not for what its clock says."""

import os
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import datetime
from pathlib import Path

import psycopg

from drmgr.engines.postgres import PostgresConnection, PostgresEngine
from drmgr.scratch.processes import end_processes
from drmgr.scratch.server import give_to, server_programs, write_private
from drmgr.system.clock import SystemClock
from drmgr.system.command import Command, Runner
from drmgr.system.secret import Secret
from tests.support.postgres import SERVER_USER, PostgresServer, installed_major, postgres_server

PATIENCE_SECONDS = 60.0


def wait_until(holds: Callable[[], bool]) -> None:
    deadline = time.monotonic() + PATIENCE_SECONDS
    while not holds():
        assert time.monotonic() < deadline
        time.sleep(0.05)


class Standby:
    def __init__(self, home: Path, database: str, password: str) -> None:
        self.home = home
        self._database = database
        self._password = password

    def ask(self, statement: str) -> object:
        with psycopg.connect(
            host=str(self.home), dbname=self._database, user="postgres", password=self._password, autocommit=True
        ) as session:
            row = session.execute(statement.encode()).fetchone()
            assert row is not None
            return row[0]

    def answers(self) -> bool:
        try:
            return self.ask("SELECT 1") == 1
        except psycopg.OperationalError:
            return False


@contextmanager
def standby_of(primary: PostgresServer, database: str) -> Iterator[Standby]:
    runner, programs = Runner(), server_programs(installed_major())
    home = primary.plan.home.parent / "standby"
    home.mkdir(mode=0o700)
    give_to(home, SERVER_USER)
    passfile = primary.plan.home.parent / "standby-pass"
    write_private(passfile, f"*:*:*:postgres:{primary.password}\n", SERVER_USER)
    copy = (str(programs / "pg_basebackup"), f"--pgdata={home}", f"--host={primary.socket}", "--username=postgres")
    done = runner.run(
        Command((*copy, "-R", "--checkpoint=fast"), {"PGPASSFILE": str(passfile)}, cwd=home, user=SERVER_USER)
    )
    assert done.code == 0, done.stderr
    argv = (str(programs / "postgres"), "-D", str(home), "-c", f"unix_socket_directories={home}")
    runner.start_daemon(
        Command((*argv, "-c", "listen_addresses="), cwd=home, user=SERVER_USER), primary.plan.home.parent / "log"
    )
    standby = Standby(home, database, primary.password)
    try:
        wait_until(standby.answers)
        yield standby
    finally:
        end_processes(home, SystemClock())


def test_a_standby_that_lags_is_only_as_new_as_what_it_replayed(tmp_path: Path) -> None:
    with postgres_server() as primary:
        database = primary.create_database()
        primary.execute(database, "CREATE TABLE visit (at timestamptz DEFAULT clock_timestamp())")
        primary.execute(database, "CREATE ROLE reader LOGIN PASSWORD 'reader'; GRANT pg_read_all_data TO reader")
        with standby_of(primary, database) as standby:
            connection = PostgresConnection(str(standby.home), database, "reader", password=Secret("reader"))
            engine = PostgresEngine(
                "his", connection, runner=Runner(), clock=SystemClock(), runtime=tmp_path / os.urandom(4).hex()
            )
            engine.preflight()
            # nothing was replayed yet: the copy itself tells how old it is
            asked: datetime = primary.execute(database, "SELECT clock_timestamp()")[0][0]
            with engine.capture() as early:
                assert early.consistent_at < asked
            primary.execute(database, "INSERT INTO visit DEFAULT VALUES")
            wait_until(lambda: standby.ask("SELECT count(*) FROM visit") == 1)
            standby.ask("SELECT pg_wal_replay_pause()::text")
            wait_until(lambda: standby.ask("SELECT pg_get_wal_replay_pause_state()") == "paused")
            primary.execute(database, "INSERT INTO visit DEFAULT VALUES")
            missed: datetime = primary.execute(database, "SELECT max(at) FROM visit")[0][0]
            with engine.capture() as late:
                assert early.consistent_at < late.consistent_at < missed
