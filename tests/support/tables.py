"""Restored databases beside live ones, for what lays single tables."""

import sqlite3
from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any, Protocol

from drmgr.engines.mariadb.engine import MariadbEngine
from drmgr.engines.mariadb.tables import MariadbTables
from drmgr.engines.postgres.engine import PostgresEngine
from drmgr.engines.postgres.tables import PostgresTables
from drmgr.engines.sqlite import SqliteEngine
from drmgr.engines.sqlite_tables import SqliteTables
from drmgr.flows.tablediff import compare
from drmgr.interfaces import TableEngine
from drmgr.model import Facts, Instance, LaidTable, TableChange, TableShape
from drmgr.system.clock import SystemClock
from drmgr.system.command import Runner
from tests.support import mariadb_sample, postgres_sample, sqlite_source
from tests.support.folders import passable_directory
from tests.support.mariadb import MariadbServer, mariadb_server
from tests.support.postgres import PostgresServer, postgres_server

ENDING = "__drmgr_20260105_1403"


class Ground(Protocol):
    """A restored database and the live one, both with one of everything."""

    engine: Any
    tables: TableEngine
    scratch: Instance
    live: Instance
    names: Any
    """Tables, as a person may write them."""
    view: str
    spare: int
    """A patient whom nothing refers to."""
    keyless: str
    change_keyless: str
    """Takes one row away from it and adds the same new one twice."""
    alter_keyless: str
    """Adds a column ``more``."""

    def run(self, script: str) -> None:
        """On the live database."""

    def names_now(self) -> set[str]:
        """All tables of the live database, whoever made them."""

    def end_session(self) -> None:
        """Takes the session away from whoever lays a table there, as a crash of the server would."""


class PostgresGround:
    names = (
        "patient",
        "public.charge",
        '"odd ""name"',
        'odd "name',
        "ward.restraint",
        "nothing",
        "child",
        "queue",
        "base",
    )
    view = "patient_codes"
    spare = 303
    keyless = "queue"
    change_keyless = "DELETE FROM queue WHERE n = 3; INSERT INTO queue VALUES (77), (77)"
    alter_keyless = "ALTER TABLE queue ADD COLUMN more int"

    def __init__(self, server: PostgresServer, runtime: Path, databases: tuple[str, str]) -> None:
        self._server = server
        self._database = databases[1]
        self.engine = PostgresEngine(
            "his", server.connection(self._database), runner=Runner(), clock=SystemClock(), runtime=runtime
        )
        self.tables: TableEngine = PostgresTables(self.engine)
        self.live = self.engine.target()
        self.scratch = replace(self.live, database=databases[0])

    def run(self, script: str) -> None:
        self._server.execute(self._database, script)

    def names_now(self) -> set[str]:
        return {str(row) for row in self._server.execute(self._database, "SELECT relname FROM pg_class")}

    def end_session(self) -> None:
        others = "datname = current_database() AND pid <> pg_backend_pid() AND backend_type = 'client backend'"
        self.run(f"SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE {others}")


@contextmanager
def postgres_ground() -> Iterator[Ground]:
    with postgres_server() as server, passable_directory() as runtime:
        databases = server.create_database(), server.create_database()
        for database in databases:
            server.execute(database, postgres_sample.ROLES + postgres_sample.SCHEMA)
            server.execute(database, postgres_sample.ROWS)
        yield PostgresGround(server, runtime, databases)


@contextmanager
def postgres_without_encoding(script: str) -> Iterator[Ground]:
    """Databases that take any bytes for texts; the script has run in the restored one."""
    with postgres_server() as server, passable_directory() as runtime:
        for name in ("restored", "live"):
            plain = "TEMPLATE template0 ENCODING SQL_ASCII LC_COLLATE 'C' LC_CTYPE 'C'"
            server.execute("postgres", f"CREATE DATABASE {name} {plain}")
        server.execute("restored", script)
        yield PostgresGround(server, runtime, ("restored", "live"))


class MariadbGround:
    names = ("patient", "charge", "`odd ``name`", "odd `name", "visit", "hospital_gbk", "空", "queue")
    view = "patient_codes"
    spare = 200
    keyless = "queue"
    change_keyless = "DELETE FROM queue WHERE n = 3; INSERT INTO queue VALUES (77), (77)"
    alter_keyless = "ALTER TABLE queue ADD COLUMN more int"

    def __init__(self, server: MariadbServer, runtime: Path) -> None:
        self._server = server
        databases = [server.create_database() for _ in range(2)]
        server.execute("", mariadb_sample.ACCOUNTS)
        for database in databases:
            server.execute(database, mariadb_sample.SCHEMA.replace("{database}", database))
            server.execute(database, f"{mariadb_sample.ROWS} UPDATE patient SET small = id / 3")
        self._database = databases[1]
        # the one column that is made up anew each time
        restored, live = (f"{database}.patient" for database in databases)
        server.execute("", f"UPDATE {live} l JOIN {restored} r USING (id) SET l.own = r.own, l.at = r.at")
        server.execute("", f"GRANT ALL ON {self._database}.* TO drmgr@localhost")
        self.engine = MariadbEngine(
            "his", server.connection(self._database), runner=Runner(), clock=SystemClock(), runtime=runtime
        )
        self.tables: TableEngine = MariadbTables(self.engine)
        self.live = self.engine.target()
        self.scratch = replace(server.instance(), database=databases[0])

    def run(self, script: str) -> None:
        self._server.execute(self._database, script)

    def names_now(self) -> set[str]:
        return {str(row) for row in self._server.execute(self._database, "SHOW TABLES")}

    def end_session(self) -> None:
        self.run("KILL USER drmgr@localhost")


@contextmanager
def mariadb_ground() -> Iterator[Ground]:
    with mariadb_server() as server, passable_directory() as runtime:
        yield MariadbGround(server, runtime)


class SqliteGround:
    names = ("patient", "charge", "main.pair", '"odd ""name"', 'odd "name')
    view = "rich"
    spare = 20
    keyless = "charge"
    change_keyless = (
        "DELETE FROM charge WHERE patient = 3;"
        "INSERT INTO charge VALUES (77, 1, NULL); INSERT INTO charge VALUES (77, 1, NULL);"
    )
    alter_keyless = "ALTER TABLE charge ADD COLUMN more INTEGER"

    def __init__(self, folder: Path) -> None:
        paths = [folder / "restored.db", folder / "his 影.db"]
        with closing(sqlite3.connect(paths[0])) as session:
            session.executescript(sqlite_source.SCHEMA)
        with closing(sqlite3.connect(paths[0])) as session, closing(sqlite3.connect(paths[1])) as live:
            session.backup(live)
        self._program = sqlite3.connect(paths[1])
        self.engine = SqliteEngine("his", paths[1], clock=SystemClock(), runtime=folder / "run")
        self.tables: TableEngine = SqliteTables(self.engine)
        self.live = self.engine.target()
        self.scratch = replace(self.live, database=paths[0].name)

    def run(self, script: str) -> None:
        self._program.executescript(script)

    def names_now(self) -> set[str]:
        return {str(row) for row in self._program.execute("SELECT name FROM sqlite_schema")}

    def end_session(self) -> None:
        # nobody can: the rows never leave the process
        raise KeyboardInterrupt

    def close(self) -> None:
        self._program.close()


@contextmanager
def sqlite_ground() -> Iterator[Ground]:
    with passable_directory() as folder, closing(SqliteGround(folder)) as ground:
        yield ground


def shape(ground: Ground, of: Instance, name: str) -> TableShape:
    found = ground.tables.table(of, name)
    assert found is not None
    return found


def all_facts(ground: Ground, of: Instance) -> Facts:
    like = Facts(ground.engine.name, SystemClock().now(), {"tables": {"any": {"rows": 1, "fingerprint": "0"}}})
    found: Facts = ground.engine.facts(of, like)
    return found


def silent(share: float, word: str) -> None:
    del share, word


def lay(ground: Ground, name: str, ending: str = ENDING) -> LaidTable:
    table = shape(ground, ground.scratch, name)
    free = ground.tables.free_name(ground.live, table, ending)
    return ground.tables.lay(ground.scratch, table, ground.live, free, silent)


def changes(ground: Ground, name: str, laid: LaidTable) -> TableChange:
    live = (ground.tables, ground.live, shape(ground, ground.live, name))
    return compare((ground.tables, ground.live, laid.shape), live)
