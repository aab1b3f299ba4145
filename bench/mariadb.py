"""A MariaDB with one table, one percent of which changes each night, and drmgr and mariadb-backup with restic on it."""

import secrets
from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from bench.bare import BareRestic
from bench.measure import Measuring
from bench.place import folder_of
from bench.site import Drmgr
from drmgr.model import Recipe
from drmgr.scratch.mariadb import SOCKET_NAME, MariadbServer, plan_server
from drmgr.scratch.server import give_to
from drmgr.system.clock import SystemClock
from drmgr.system.command import Command, Runner

if TYPE_CHECKING:
    import pymysql

ACCOUNT = "mysql"
DATABASE = "bench"
RIGHTS = "SELECT, SHOW VIEW, TRIGGER, EVENT, RELOAD, PROCESS, BINLOG MONITOR, REPLICATION SLAVE, LOCK TABLES"  # docs/mariadb.md
SETTINGS = {"log-bin": "bench-bin", "binlog-format": "ROW", "server-id": "7", "expire-logs-days": "5"}
BUFFER = {"innodb-buffer-pool-size": "256M"}

FILL = """
INSERT INTO charge (patient, item, note)
SELECT seq % 90000, seq % 700, CONCAT(MD5(seq), MD5(seq + 1), REPEAT('.', 60)) FROM seq_1_to_{rows}"""
CHURN = (
    "UPDATE charge SET item = item + 1, note = CONCAT(MD5(id + {night}), MD5(id)) WHERE id BETWEEN {first} AND {last}"
)


class BenchMariadb:
    """The server, on a unix socket, as its own account."""

    def __init__(self, server: MariadbServer, socket: Path, rows: int) -> None:
        self.server = server
        self.socket = socket / SOCKET_NAME
        self.password = secrets.token_hex(24)
        self._rows = rows

    def sql(self, *statements: str, database: str | None = DATABASE) -> None:
        with closing(self._session(database)) as session, session.cursor() as cursor:
            for statement in statements:
                cursor.execute(statement)

    def fill(self) -> None:
        self.sql(
            f"CREATE DATABASE {DATABASE} CHARACTER SET utf8mb4",
            f"CREATE USER drmgr@localhost IDENTIFIED BY '{self.password}'",
            f"GRANT {RIGHTS} ON *.* TO drmgr@localhost",
            database=None,
        )
        self.sql(
            "CREATE TABLE charge (id int PRIMARY KEY AUTO_INCREMENT, patient int, item int, "
            "at timestamp(6) DEFAULT current_timestamp(6), note varchar(200), KEY (patient))",
            FILL.format(rows=self._rows),
        )

    def churn(self, night: int) -> None:
        """Another hundredth of the rows, all of them neighbours, as a day's are."""
        size = self._rows // 100
        first = night * size + 1
        self.sql(CHURN.format(night=night, first=first, last=first + size - 1), "FLUSH TABLES")

    def _session(self, database: str | None) -> "pymysql.Connection[pymysql.cursors.Cursor]":
        import pymysql

        passfile = self.server.instance().passfile
        assert passfile is not None
        password = passfile.read_text(encoding="ascii").split('"')[1]
        return pymysql.connect(
            unix_socket=str(self.socket), user="root", password=password, database=database, autocommit=True
        )


@contextmanager
def bench_mariadb(directory: Path, rows: int) -> Iterator[BenchMariadb]:
    """The filled server; stopped at the end, removed with the directory."""
    home = directory / "server"
    home.mkdir(mode=0o700, parents=True)
    give_to(home, ACCOUNT)
    plan = plan_server(Recipe("", "mariadb"), home, home, directory / "mypass", ACCOUNT)
    plan = replace(plan, settings={**plan.settings, **SETTINGS, **BUFFER})
    server = MariadbServer(plan, Runner(), SystemClock())
    server.create()
    try:
        server.start()
        made = BenchMariadb(server, home, rows)
        made.fill()
        yield made
    finally:
        server.stop()


class BareCopy:
    """mariadb-backup into a folder, restic on the folder, the folder away again; a restore is restic and --prepare."""

    name = "mariadb-backup + restic by hand"

    def __init__(self, server: BenchMariadb, home: Path) -> None:
        self._server = server
        self._home = home
        self._restic = BareRestic(home / "restic")
        self._snapshot = ""

    def begin(self) -> None:
        folder_of(None, self._home, anew=True)
        self._restic.begin()

    def store(self, measuring: Measuring) -> None:
        copy = folder_of(None, self._home / "copy", anew=True)
        options = self._home / "client.cnf"
        options.touch(mode=0o600)
        options.write_text(f"[client]\nuser=drmgr\npassword={self._server.password}\nsocket={self._server.socket}\n")
        argv = (
            *("mariadb-backup", f"--defaults-file={options}", "--backup", "--parallel=2"),
            *(f"--datadir={self._server.server.data}", f"--target-dir={copy}"),
        )
        measuring.run(Command(argv))
        self._snapshot = self._restic.save(measuring, copy)
        folder_of(None, copy, anew=True)

    def restore(self, measuring: Measuring, target: Path) -> None:
        self._restic.bring_back(measuring, self._snapshot, target)

    def stored(self) -> int:
        return self._restic.stored()


def drmgr(server: BenchMariadb, home: Path, room: Path, name: str, facts: str) -> Drmgr:
    connection = (
        f"{{engine: mariadb, host: {server.socket}, database: {DATABASE}, user: drmgr, "
        f'password: "file:secrets/source", method: physical, data_directory: {server.server.data}}}'
    )
    source = f"{{name: main, kind: database, connection: source, facts: {facts}}}"
    return Drmgr(name, home, room, connection=connection, source=source, password=server.password)
