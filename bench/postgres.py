"""A PostgreSQL with pgbench's tables, one percent of which changes each night, and drmgr and bare restic backing it up."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from bench.bare import BareRestic
from bench.measure import Measuring
from bench.place import file_of, folder_of, server_account
from bench.site import Drmgr
from bench.sizes import Sizes
from drmgr.demo.database import BACKUP_ROLE, SUPERUSER, ProductionServer
from drmgr.engines.postgres.store import LEFT_OUT
from drmgr.engines.postgres.wal import parse_lsn, segment_name
from drmgr.system.command import Command, Runner

ACCOUNT = "postgres"
DATABASE = "bench"
ACCOUNTS_PER_SCALE = 100_000
SEGMENT_BYTES = 16 * 1024 * 1024

ARCHIVER = "archive-for-pgbackrest"
"""pgBackRest refuses an archive_command without its name in it."""

ARCHIVE = """\
#!/bin/sh
# only the tool whose turn it is gets the log; the log of the churn is nobody's
case "$(cat {home}/turn)" in
pgbackrest) exec pgbackrest --config={home}/pgbackrest.conf --stanza=bench archive-push "$1" ;;
barman) test ! -f {home}/barman/bench/incoming/"$2" && cp "$1" {home}/barman/bench/incoming/"$2" ;;
esac
"""


class BenchServer:
    """The server, as the hospital's own would be. ``home`` is a folder of the server's account for its tools."""

    def __init__(self, production: ProductionServer, home: Path, sizes: Sizes) -> None:
        self.production = production
        self.home = home
        self.account = server_account(ACCOUNT)
        self._accounts = sizes.scale * ACCOUNTS_PER_SCALE

    @property
    def data(self) -> Path:
        return self.production.data_directory

    @property
    def socket(self) -> Path:
        return self.production.socket

    @property
    def passfile(self) -> Path:
        return self.home / "pgpass"

    def take_turn(self, name: str) -> None:
        """From here on the log is archived for that tool."""
        (self.home / "turn").write_text(name)

    def sql(self, *statements: str, database: str = DATABASE) -> None:
        with self.production.connect(database, SUPERUSER, autocommit=True) as session:
            for statement in statements:
                session.execute(statement.encode())

    def size(self) -> int:
        """Bytes of the database."""
        with self.production.connect(DATABASE, SUPERUSER) as session:
            row = session.execute("SELECT pg_database_size(current_database())").fetchone()
            assert row is not None
            return int(row[0])

    def churn(self, night: int) -> None:
        """Another hundredth of the rows, all of them neighbours, as a day's are; then at rest, as at night."""
        size = self._accounts // 100
        first = night * size + 1
        self.sql(
            "UPDATE pgbench_accounts SET abalance = abalance + 1, filler = md5(random()::text) "
            f"WHERE aid BETWEEN {first} AND {first + size - 1}",
            "VACUUM",
            "CHECKPOINT",
        )

    def fill(self, scale: int) -> None:
        """pgbench's tables. Its filler is blank and compresses to nothing, as no hospital's rows do: here a third is not."""
        self.sql(f"CREATE DATABASE {DATABASE}", database=SUPERUSER)
        self._pgbench(scale, "dt")
        self.sql(
            f"INSERT INTO pgbench_branches SELECT b, 0 FROM generate_series(1, {scale}) b",
            f"INSERT INTO pgbench_tellers SELECT t, (t - 1) / 10 + 1, 0 FROM generate_series(1, {scale * 10}) t",
            "INSERT INTO pgbench_accounts SELECT a, (a - 1) / 100000 + 1, 0, md5(a::text) "
            f"FROM generate_series(1, {self._accounts}) a",
        )
        self._pgbench(scale, "vp")
        self.sql("VACUUM", "CHECKPOINT")

    def _pgbench(self, scale: int, steps: str) -> None:
        argv = ("pgbench", "--initialize", f"--init-steps={steps}", "--quiet", f"--scale={scale}")
        env = {"PGUSER": SUPERUSER, "PGHOST": str(self.socket), "PGPASSFILE": str(self.passfile)}
        Measuring(Runner()).run(Command((*argv, DATABASE), env=env, user=self.account))


@contextmanager
def bench_server(directory: Path, sizes: Sizes) -> Iterator[BenchServer]:
    """The filled server; stopped and removed at the end."""
    account = server_account(ACCOUNT)
    home = folder_of(account, directory / "tools")
    with ProductionServer(directory / "server") as production:
        server = BenchServer(production, home, sizes)
        words = f"*:*:*:{SUPERUSER}:{production.password(SUPERUSER).reveal()}\n"
        file_of(account, server.passfile, words)
        file_of(account, home / ARCHIVER, ARCHIVE.format(home=home), mode=0o700)
        file_of(account, home / "turn", "nobody")
        _set_up(server)
        server.fill(sizes.scale)
        yield server


def _set_up(server: BenchServer) -> None:
    server.sql(
        "ALTER SYSTEM SET archive_mode = on",
        f"ALTER SYSTEM SET archive_command = '{server.home}/{ARCHIVER} %p %f'",
        # it would change files between one contestant's turn and the next one's
        "ALTER SYSTEM SET autovacuum = off",
        database=SUPERUSER,
    )
    server.production.stop()
    server.production.start()


class BareCluster:
    """pg_backup_start and pg_backup_stop by hand, restic on the data directory, then on the label and the log."""

    name = "restic by hand"

    def __init__(self, server: BenchServer, home: Path) -> None:
        self._server = server
        self._restic = BareRestic(home)
        self._home = home
        self._snapshots: tuple[str, ...] = ()

    def begin(self) -> None:
        self._restic.begin()

    def store(self, measuring: Measuring) -> None:
        self._server.take_turn("nobody")
        data, label = self._server.data, folder_of(None, self._home / "label", anew=True)
        left_out = [word for pattern in LEFT_OUT for word in ("--exclude", _anchored(pattern, data))]
        with self._server.production.connect(SUPERUSER, SUPERUSER, autocommit=True) as session:
            (start, timeline), *_ = session.execute(
                "SELECT pg_backup_start('bench', true)::text, timeline_id FROM pg_control_checkpoint()"
            ).fetchall()
            cluster = self._restic.save(measuring, data, *left_out)
            (stop, text), *_ = session.execute("SELECT lsn::text, labelfile FROM pg_backup_stop(false)").fetchall()
        file_of(None, label / "backup_label", text)
        first, last = (parse_lsn(position) // SEGMENT_BYTES for position in (start, stop))
        for name in (segment_name(timeline, number, SEGMENT_BYTES) for number in range(first, last + 1)):
            (label / name).hardlink_to(data / "pg_wal" / name)
        self._snapshots = (cluster, self._restic.save(measuring, label))

    def restore(self, measuring: Measuring, target: Path) -> None:
        for number, snapshot in enumerate(self._snapshots):
            self._restic.bring_back(measuring, snapshot, target / str(number))

    def stored(self) -> int:
        return self._restic.stored()


def _anchored(pattern: str, root: Path) -> str:
    return f"{root.resolve()}{pattern}" if pattern.startswith("/") else pattern


def drmgr(server: BenchServer, home: Path, room: Path, name: str, facts: str) -> Drmgr:
    connection = (
        f"{{engine: postgresql, host: {server.socket}, database: {DATABASE}, user: {BACKUP_ROLE}, "
        f'password: "file:secrets/source", method: physical, data_directory: {server.data}}}'
    )
    source = f"{{name: main, kind: database, connection: source, facts: {facts}}}"
    password = server.production.password(BACKUP_ROLE).reveal()
    return Drmgr(name, home, room, connection=connection, source=source, password=password)


def cores() -> int:
    return os.cpu_count() or 1
