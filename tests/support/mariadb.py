"""A real MariaDB server that plays the hospital's production."""

from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import pymysql

from drmgr.engines.mariadb import MariadbConnection, MariadbEngine
from drmgr.engines.mariadb.connection import Session, read_password
from drmgr.engines.mariadb.physical import PhysicalMariadbEngine
from drmgr.interfaces import Engine
from drmgr.model import Instance, Recipe
from drmgr.scratch import mariadb as private
from drmgr.scratch.server import give_to
from drmgr.system.clock import SystemClock
from drmgr.system.command import Runner
from drmgr.system.secret import Secret
from tests.support.folders import passable_directory
from tests.support.mariadb_sample import ACCOUNTS, ROWS, SCHEMA

SERVER_USER = "mysql"
DRMGR = "CREATE USER drmgr@localhost IDENTIFIED BY 'dr\\\\m\"g#r'"
RIGHTS = "GRANT SELECT, SHOW VIEW, TRIGGER, EVENT, RELOAD, PROCESS, BINLOG MONITOR ON *.* TO drmgr@localhost"
LOG_RIGHTS = "GRANT LOCK TABLES, REPLICATION SLAVE ON *.* TO drmgr@localhost"
LOGGED = {
    "log_bin": "mysqld-bin",
    "binlog_format": "ROW",
    "server_id": "7",
    "expire_logs_days": "5",
    "log_bin_trust_function_creators": "ON",
}
PASSWORD = 'dr\\m"g#r'


class MariadbServer:
    """A running server; every test makes databases of its own on it."""

    def __init__(self, server: private.MariadbServer) -> None:
        self.private = server
        self._instance = server.instance()
        self._databases = 0
        self.execute("", f"{DRMGR};{RIGHTS}")

    @property
    def password(self) -> str:
        """The superuser's."""
        assert self._instance.passfile is not None
        return read_password(self._instance.passfile).reveal()

    def instance(self) -> Instance:
        return self._instance

    @property
    def socket(self) -> str:
        return str(self._instance.socket)

    def connection(self, database: str, user: str = "drmgr", password: str = PASSWORD) -> MariadbConnection:
        return MariadbConnection(self.socket, database, user, password=Secret(password))

    def create_database(self, options: str = "CHARACTER SET utf8mb4") -> str:
        """A new, empty database; its name."""
        self._databases += 1
        database = f"test_{self._databases}"
        self.execute("", f"CREATE DATABASE {database} {options}")
        return database

    def stop(self) -> None:
        """Ends the server at once, as a crash would."""
        self.private.stop()

    def start(self) -> None:
        """Starts it again after ``stop``. It begins with no accounts but its own, so drmgr's is made again."""
        self.private.start()
        self.execute("", f"{DRMGR};{RIGHTS};{LOG_RIGHTS}")

    def execute(self, database: str, script: str) -> tuple[tuple[Any, ...], ...]:
        return ask(self._instance, script, database)


def ask(of: Instance, script: str, database: str = "") -> tuple[tuple[Any, ...], ...]:
    """Runs statements as the instance's superuser; gives the rows of the last one."""
    with closing(superuser(of, database)) as session, session.cursor() as cursor:
        cursor.execute(script)
        rows = cursor.fetchall()
        while cursor.nextset():
            rows = cursor.fetchall()
        return rows


def superuser(of: Instance, database: str = "") -> Session:
    """An open session of the instance's superuser."""
    assert of.passfile is not None
    return pymysql.connect(
        unix_socket=f"{of.socket}/{private.SOCKET_NAME}",
        user=of.user,
        password=read_password(of.passfile).reveal(),
        database=database or of.database or None,
        charset="utf8mb4",
        autocommit=True,
        client_flag=pymysql.constants.CLIENT.MULTI_STATEMENTS,
    )


@contextmanager
def lock_tables(server: MariadbServer, table: str) -> Iterator[None]:
    """Holds a lock on the table while the block runs."""
    with closing(superuser(server.instance())) as session, session.cursor() as cursor:
        cursor.execute(f"LOCK TABLES {table} WRITE")
        yield


@contextmanager
def mariadb_server(**settings: str) -> Iterator[MariadbServer]:
    """A server of its own, stopped and removed at the end. Settings are those of mariadbd, ``_`` for ``-``."""
    with passable_directory() as directory:
        home = directory / "my"
        home.mkdir(mode=0o700)
        give_to(home, SERVER_USER)
        plan = private.plan_server(Recipe("", "mariadb"), home, home, directory / "mypass", SERVER_USER)
        extra = {name.replace("_", "-"): value for name, value in settings.items()}
        plan = replace(plan, settings={**plan.settings, **extra})
        server = private.MariadbServer(plan, Runner(), SystemClock())
        server.create()
        try:
            server.start()
            yield MariadbServer(server)
        finally:
            server.stop()


class MariadbSource:
    """``physical`` backs it up by its files; its instances are made of what was stored."""

    def __init__(self, server: MariadbServer, runtime: Path, *, physical: bool = False) -> None:
        self._server = server
        self._database = server.create_database("CHARACTER SET utf8mb4 COLLATE utf8mb4_unicode_ci")
        server.execute("", ACCOUNTS)
        server.execute(self._database, SCHEMA.replace("{database}", self._database))
        server.execute(self._database, ROWS)
        kind = (
            partial(PhysicalMariadbEngine, data_directory=server.private.data, staging=runtime / "staging")
            if physical
            else MariadbEngine
        )
        self.engine: Engine = kind(
            "his",
            server.connection(self._database),
            runner=Runner(),
            clock=SystemClock(),
            runtime=runtime,
            newest=[("patient", "seen"), ("charge", "day"), ("patient", "at")],
            timezone="Asia/Shanghai",
        )

    def own(self) -> Instance:
        return self.engine.target()

    def add(self) -> None:
        self._server.execute(
            self._database,
            "INSERT INTO charge (day, patient, amount) VALUES ('2027-01-01', 1, 1); UPDATE patient SET t = t + 1;"
            "DELETE FROM queue; SELECT NEXTVAL(fresh), NEXTVAL(fresh)",
        )

    def alter(self, of: Instance) -> None:
        ask(of, "UPDATE patient SET cost = cost + 0.0001 WHERE id = 7")

    def lose(self, of: Instance) -> None:
        ask(of, "DROP TABLE `odd ``name`")


@contextmanager
def mariadb_physical_source() -> Iterator[MariadbSource]:
    """The same, backed up by its files."""
    with mariadb_server(**LOGGED) as server, passable_directory() as runtime:
        server.execute("", LOG_RIGHTS)
        yield MariadbSource(server, runtime, physical=True)


@contextmanager
def mariadb_source() -> Iterator[MariadbSource]:
    """A live server with one of everything, and the engine bound to a database of it."""
    with mariadb_server() as server, passable_directory() as runtime:
        yield MariadbSource(server, runtime)
