"""A real PostgreSQL server that plays the hospital's production."""

import os
import re
import signal
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import psycopg
from psycopg import sql

from drmgr.engines.postgres import PostgresConnection
from drmgr.model import Instance
from drmgr.scratch.processes import wait_until
from drmgr.scratch.server import PostgresServer as PrivateServer
from drmgr.scratch.server import ServerPlan, give_to
from drmgr.system.clock import SystemClock
from drmgr.system.command import Runner
from drmgr.system.secret import Secret
from tests.support.folders import passable_directory

SERVER_USER = "postgres"


def installed_major() -> str:
    """The newest major version whose server programs are on this host."""
    folders = [*Path("/usr/lib/postgresql").glob("*/bin/postgres"), *Path("/usr").glob("pgsql-*/bin/postgres")]
    majors = [int(found[1]) for folder in folders if (found := re.search(r"(\d+)/bin", str(folder)))]
    return str(max(majors))


class PostgresServer:
    """A running server; every test makes databases of its own on it."""

    def __init__(self, private: PrivateServer, plan: ServerPlan) -> None:
        self.private = private
        self.plan = plan
        self.password = plan.passfile.read_text().strip().rsplit(":", 1)[1]
        self._databases = 0

    @property
    def socket(self) -> str:
        return str(self.plan.socket)

    def connection(self, database: str, user: str = "postgres", password: str | None = None) -> PostgresConnection:
        return PostgresConnection(self.socket, database, user, password=Secret(password or self.password))

    def create_database(self, name: str = "") -> str:
        """A new, empty database; its name."""
        self._databases += 1
        database = name or f"test_{self._databases}"
        self.execute("postgres", sql.SQL("CREATE DATABASE {} TEMPLATE template0").format(sql.Identifier(database)))
        return database

    def stop(self) -> None:
        """Ends the server at once, as a crash would."""
        self.private.stop()

    def execute(self, database: str, statement: str | sql.Composed) -> list[tuple[Any, ...]]:
        """Runs statements as superuser; gives the rows of the last one."""
        with psycopg.connect(
            host=self.socket, dbname=database, user="postgres", password=self.password, autocommit=True
        ) as session:
            cursor = session.execute(statement.encode() if isinstance(statement, str) else statement)
            while cursor.nextset():
                pass
            return cursor.fetchall() if cursor.description is not None else []


def kill_server(instance: Instance) -> None:
    """Ends the server of a scratch instance without warning, and waits until it answers nobody any more."""
    assert instance.socket is not None
    (pidfile,) = {*instance.socket.glob("data/postmaster.pid"), *instance.socket.parent.glob("*/data/postmaster.pid")}
    pid = int(pidfile.read_text().splitlines()[0])
    os.kill(pid, signal.SIGKILL)
    place = Path(f"/proc/{pid}")
    assert wait_until(lambda: not place.exists() or "\nState:\tZ" in (place / "status").read_text(), SystemClock(), 10)


@contextmanager
def postgres_server() -> Iterator[PostgresServer]:
    """A server of its own, stopped and removed at the end."""
    with passable_directory() as directory:
        home = directory / "pg"
        home.mkdir(mode=0o700)
        give_to(home, SERVER_USER)
        settings = {"fsync": "off", "max_connections": "30"}
        plan = ServerPlan(
            home, home, directory / "pgpass", installed_major(), SERVER_USER, "postgres", settings=settings
        )
        private = PrivateServer(plan, Runner(), SystemClock())
        private.create()
        try:
            private.start()
            yield PostgresServer(private, plan)
        finally:
            private.stop()
