"""A hospital's server whose files are backed up where they lie, with a workbench to run the flows on."""

import subprocess
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from drmgr.checks.facts import FactsCheck
from drmgr.checks.technical import IntegrityCheck, OpensCheck
from drmgr.engines.postgres.engine import PostgresEngine
from drmgr.engines.postgres.physical import PhysicalPostgresEngine
from drmgr.engines.postgres.remote import RemotePostgresEngine
from drmgr.engines.postgres.shipper import PostgresLogShipper
from drmgr.flows.backup import backup
from drmgr.flows.bench import Bench, Source, WiredSystem
from drmgr.flows.restore import RestoreDone, restore
from drmgr.flows.restoreplan import RestorePlan, ToScratch
from drmgr.flows.ship_logs import Shipped, Spool, ship
from drmgr.interfaces import Check, Repository
from drmgr.model import ChainHead, DrillRecord, EvidenceEntry, Objectives, Part, Payload, RecoveryPoint, System, Text
from drmgr.repository.restic import ResticRepository
from drmgr.scratch.processes import wait_until
from drmgr.scratch.server import PostgresServer as PrivateServer
from drmgr.scratch.server import ServerPlan, give_to, server_programs
from drmgr.scratch.workspace import ScratchHost
from drmgr.state.locks import FileLocks
from drmgr.system.clock import SystemClock
from drmgr.system.command import Command, Runner
from drmgr.system.secret import Secret
from tests.support.fake_audit import FakeAudit
from tests.support.fake_catalog import FakeCatalog
from tests.support.fake_repository import FakeRepository
from tests.support.folder_sink import FolderSink
from tests.support.postgres import SERVER_USER, PostgresServer, installed_major
from tests.support.restic import restic_in

AnyPhysical = PhysicalPostgresEngine | RemotePostgresEngine
SLOT = "drmgr_his_main"
WAL = {"wal_level": "replica", "fsync": "off", "max_connections": "40", "max_wal_senders": "4"}


@contextmanager
def physical_server(directory: Path, *, segment_mib: int = 16) -> Iterator[PostgresServer]:
    """A primary that keeps a log; stopped at the end."""
    home = directory / "pg"
    home.mkdir(mode=0o700)
    give_to(home, SERVER_USER)
    passfile = directory / "pgpass"
    plan = ServerPlan(home, home, passfile, installed_major(), SERVER_USER, "postgres", settings=WAL)
    private = PrivateServer(plan, Runner(), SystemClock())
    private.create()
    if segment_mib != 16:  # initdb's own
        resize = (str(server_programs(plan.version) / "pg_resetwal"), f"--wal-segsize={segment_mib}", str(private.data))
        assert Runner().run(Command(resize, cwd=home, user=SERVER_USER)).code == 0
    # what pg_receivewal logs in as; initdb's own hba lets nobody replicate with a password
    hba = private.data / "pg_hba.conf"
    hba.write_text("local all all scram-sha-256\nlocal replication all scram-sha-256\n", encoding="utf-8")
    try:
        private.start()
        yield PostgresServer(private, plan)
    finally:
        private.stop()


@contextmanager
def pgbench(server: PostgresServer, rate: int, clients: int = 4) -> Iterator[None]:
    """So many transactions a second while the block runs; as many as it can for ``rate`` 0."""
    program = server_programs(installed_major()) / "pgbench"
    with subprocess.Popen(
        [
            program,
            "-n",
            *((f"-R{rate}",) if rate else ()),
            f"-c{clients}",
            "-T600",
            "-h",
            server.socket,
            "-U",
            "postgres",
            "his",
        ],
        env={"PGPASSFILE": str(server.plan.passfile)},
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    ) as process:
        try:
            yield
        finally:
            process.terminate()


def fill(server: PostgresServer, scale: int = 1) -> None:
    """The database ``his`` with pgbench's tables and some of ours."""
    server.create_database("his")
    if scale:
        program = server_programs(installed_major()) / "pgbench"
        subprocess.run(
            [program, "-i", "-q", f"-s{scale}", "-h", server.socket, "-U", "postgres", "his"],
            env={"PGPASSFILE": str(server.plan.passfile)},
            capture_output=True,
            check=True,
        )
    server.execute(
        "his",
        "CREATE TABLE note (id serial PRIMARY KEY, at timestamptz DEFAULT clock_timestamp(), text text);"
        "CREATE UNLOGGED TABLE queue AS SELECT 1 AS n; INSERT INTO note (text) VALUES ('一')",
    )


@contextmanager
def tablespace(server: PostgresServer, name: str) -> Iterator[Path]:
    """A tablespace outside of the data directory; dropped at the end, which also proves that it is empty by then."""
    space = server.plan.home / name
    space.mkdir()
    give_to(space, SERVER_USER)
    server.execute("his", f"CREATE TABLESPACE {name} LOCATION '{space}'")
    try:
        yield space
    finally:
        server.execute("his", f"DROP TABLE IF EXISTS in_{name}")
        server.execute("his", f"DROP TABLESPACE {name}")


class KillingSink(FolderSink):
    """Ends the server without warning once that part is stored."""

    def __init__(self, folder: Path, server: PostgresServer, after: str) -> None:
        super().__init__(folder)
        self._server = server
        self._after = after

    def save(self, payload: Payload) -> Part:
        part = super().save(payload)
        if payload.part == self._after:
            self._server.private.stop()
        return part


class Sealed:
    """An evidence store that only keeps what it is given."""

    def __init__(self) -> None:
        self.records: list[DrillRecord] = []

    def head(self) -> ChainHead | None:
        return None

    def seal(self, record: DrillRecord) -> EvidenceEntry:
        self.records.append(record)
        return EvidenceEntry(
            record.run, record.run, len(self.records), record.name, record.verdict, record.finished_at, "", ""
        )


class Place:
    """A system ``his`` with one physical source ``main``, backed up into a real repository."""

    def __init__(self, directory: Path, server: PostgresServer, *, real: bool = False, integrity: bool = False) -> None:
        self.server = server
        self.clock = SystemClock()
        self.runner = Runner()
        settings = restic_in(directory / "repository", directory / "cache")
        self.repository: Repository = ResticRepository(settings, lambda: Secret("p" * 64), self.runner)
        if not real:
            self.repository = FakeRepository(directory / "repository")
        self.repository.init()
        self.user = "postgres"
        self.engine: AnyPhysical = self.make()
        self.evidence = Sealed()
        self.directory = directory
        scratch = ScratchHost(directory / "scratch", SERVER_USER, self.runner, self.clock, "test")
        self.bench = Bench(
            site=Text("医院", "Hospital"),
            timezone="Asia/Shanghai",
            host="test",
            operator="tester",
            catalog=FakeCatalog(),
            audit=FakeAudit(),
            locks=FileLocks(directory / "locks"),
            clock=self.clock,
            scratch=scratch,
            evidence=self.evidence,
            tools={},
        )
        self.spool = Spool(directory / "spool", 512 * 1024 * 1024)
        self.integrity = integrity
        self.use(self.repository)

    def use(self, repository: Repository, engine: PostgresEngine | None = None) -> None:
        """Wires the system anew, with that repository and engine."""
        self.repository, engine = repository, engine or self.engine
        self.source = Source("main", engine, PostgresLogShipper(self.engine, SLOT, self.runner))
        objectives = Objectives(timedelta(hours=1), timedelta(hours=1))
        system = System("his", Text("医院信息系统", "HIS"), 1, objectives)
        checks: tuple[Check, ...] = (OpensCheck("main", engine), FactsCheck("main", engine))
        if self.integrity:
            checks += (IntegrityCheck("main", engine),)
        self.wired = WiredSystem(system, self.repository, (self.source,), checks)

    def become(self, user: str) -> None:
        """From here on drmgr's account is that one."""
        self.user = user
        self.engine = self.make()
        self.use(self.repository)

    def make_remote(self, **options: Any) -> RemotePostgresEngine:
        """As if the server's files were on another host."""
        runtime = self.server.plan.passfile.parent / "runtime"
        defaults: dict[str, Any] = {"runner": self.runner, "clock": self.clock, "runtime": runtime}
        connection = replace(self.server.connection("his", self.user), binaries=options.pop("binaries", None))
        return RemotePostgresEngine("main", connection, **(defaults | options))

    def make(self, **options: Any) -> PhysicalPostgresEngine:
        defaults: dict[str, Any] = {
            "data_directory": self.server.private.data,
            "runner": self.runner,
            "clock": self.clock,
            "runtime": self.server.plan.passfile.parent / "runtime",
        }
        connection = replace(self.server.connection("his", self.user), binaries=options.pop("binaries", None))
        return PhysicalPostgresEngine("main", connection, **(defaults | options))

    def ship(self) -> Shipped:
        return ship(self.bench, self.wired, self.source, self.spool)

    def back_up(self) -> RecoveryPoint:
        return backup(self.bench, self.wired).point

    def restore(self, at: str) -> RestoreDone:
        plan = RestorePlan("latest", ToScratch(timedelta(hours=1)), at=at)
        return restore(self.bench, self.wired, plan)

    def sql(self, statement: str) -> Sequence[tuple[Any, ...]]:
        return self.server.execute("his", statement)

    def now(self) -> datetime:
        """The server's own clock."""
        (row,) = self.sql("SELECT clock_timestamp()")
        return row[0].astimezone(UTC)  # type: ignore[no-any-return]


def note(place: Place, text: str) -> str:
    """Writes a row and gives a time at which it is there and nothing after it."""
    place.sql(f"INSERT INTO note (text) VALUES ('{text}')")
    at = place.now().isoformat()
    assert wait_until(lambda: place.now().isoformat() > at, place.clock, 5)
    return at


def notes(place: Place, done: RestoreDone) -> list[str]:
    """The rows that came back."""
    rows = place.engine.rows(done.instances["main"], "SELECT text FROM note ORDER BY id")
    return [str(row[0]) for row in rows]
