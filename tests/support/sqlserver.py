"""SQL Servers for tests: the stand-in, or a real one that DRMGR_TEST_SQLSERVER names."""

import datetime
import json
import os
import subprocess
import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from decimal import Decimal
from pathlib import Path
from typing import Any

from drmgr.engines.sqlserver import SqlServerConnection, SqlServerEngine
from drmgr.engines.sqlserver.connection import endpoint_of
from drmgr.interfaces import Engine
from drmgr.model import Instance
from drmgr.scratch.sqlserver import SqlServerScratch
from drmgr.system.clock import SystemClock
from drmgr.system.mssql import Server, connect
from drmgr.system.mssql_access import Access, Share
from drmgr.system.mssql_bucket import BucketShare
from drmgr.system.mssql_server import identity_of
from drmgr.system.secret import Secret
from tests.support.folders import passable_directory
from tests.support.tds import TdsServer
from tests.support.tds.brain import Brain
from tests.support.tds.devices import S3_IDENTITY
from tests.support.tds.store import BucketOf, Column, Database, Index, Store, Table, appended, updated

USER, PASSWORD = "drmgr", "dr\\m\"g'#r;{é}"
REAL = "DRMGR_TEST_SQLSERVER"
HOST = "test"
MAX = -1


def sample_tables() -> dict[str, Table]:
    """One of everything that is fingerprinted in a way of its own."""
    patient = (
        *(
            Column("id", "int", 4, nullable=False),
            Column("name", "nvarchar", 200),
            Column("born", "date", 3),
            Column("seen", "datetime2", scale=7),
        ),
        *(Column("cost", "decimal", 9, 12, 4), Column("note", "nvarchar", MAX), Column("raw", "varbinary", MAX)),
        *(
            Column("own", "uniqueidentifier", 16),
            Column("weight", "float"),
            Column("ok", "bit", 1),
            Column("fee", "money"),
        ),
    )
    day, second = datetime.date(1970, 1, 1), datetime.datetime.fromisoformat("2025-12-31T08:00:00.5")
    rows: list[tuple[Any, ...]] = [
        (
            *(
                number,
                f"张三𠮷{number}",
                day + datetime.timedelta(days=number),
                second + datetime.timedelta(seconds=number),
            ),
            *(Decimal(number) / 8, f"头痛 {number} '\"", number.to_bytes(3, "big"), uuid.UUID(int=number * 7919)),
            *(number / 3, bool(number % 2), Decimal(number) / 4),
        )
        for number in range(1, 60)
    ]
    rows.append((60, "", None, None, None, None, None, None, None, None, None))
    charge = (Column("id", "bigint"), Column("day", "date", 3), Column("amount", "money"))
    charges = [
        (number, datetime.date(2025, 11, 1) + datetime.timedelta(days=number), Decimal(number)) for number in range(9)
    ]
    return {
        "dbo.patient": Table(patient, tuple(rows), (Index("PK_patient", (("id", False),), primary=True, unique=True),)),
        "dbo.charge": Table(charge, tuple(charges)),
        "dbo.queue": Table((Column("n", "int", 4),), ((1,), (2,))),
        "dbo.odd ]name": Table((Column("select", "int", 4),), ((1,),)),
        "dbo.空": Table((Column("n", "int", 4),), ()),
    }


CREATE = """
CREATE TABLE dbo.patient (id int PRIMARY KEY, name nvarchar(100) NOT NULL, born date, seen datetime2, cost decimal(12, 4),
  note nvarchar(max), raw varbinary(max), own uniqueidentifier, weight float, ok bit, fee money);
CREATE TABLE dbo.charge (id bigint, day date, amount money);
CREATE TABLE dbo.queue (n int);
CREATE TABLE dbo.[odd ]]name] ([select] int);
CREATE TABLE dbo.[空] (n int);
INSERT INTO dbo.patient SELECT TOP (59) n, N'张三' + CAST(n AS nvarchar(9)), DATEADD(DAY, n, '1970-01-01'),
  DATEADD(SECOND, n, '2025-12-31T08:00:00.5'), n / 8.0, N'头痛', CAST(n AS varbinary(3)), NEWID(), n / 3.0, n % 2, n / 4.0
  FROM (SELECT ROW_NUMBER() OVER (ORDER BY object_id) AS n FROM sys.all_objects) AS q ORDER BY n;
INSERT INTO dbo.patient (id, name) VALUES (60, N'');
INSERT INTO dbo.charge VALUES (1, '2025-11-01', 1), (2, '2025-11-02', 2);
INSERT INTO dbo.queue VALUES (1), (2);
INSERT INTO dbo.[odd ]]name] VALUES (1);
"""
"""The same for a real server; what matters is the kinds of columns."""

ADD = "INSERT INTO dbo.charge VALUES (99, '2027-01-01', 1); UPDATE dbo.patient SET cost = 1; DELETE FROM dbo.queue"
ALTER = "UPDATE dbo.patient SET cost = cost + 0.0001 WHERE id = 7"
LOSE = "DROP TABLE dbo.[odd ]]name]"


def _add(tables: dict[str, Table]) -> None:
    tables["dbo.charge"] = appended(tables["dbo.charge"], (99, datetime.date(2027, 1, 1), Decimal(1)))
    cost = tables["dbo.patient"].column("cost")
    tables["dbo.patient"] = updated(tables["dbo.patient"], lambda row: [*row[:cost], Decimal(1), *row[cost + 1 :]])
    tables["dbo.queue"] = replace(tables["dbo.queue"], rows=())


def _alter(tables: dict[str, Table]) -> None:
    at = tables["dbo.patient"].column("cost")

    def change(row: list[Any]) -> list[Any]:
        return [*row[:at], row[at] + Decimal("0.0001"), *row[at + 1 :]] if row[0] == 7 else row

    tables["dbo.patient"] = updated(tables["dbo.patient"], change)


def _lose(tables: dict[str, Table]) -> None:
    del tables["dbo.odd ]name"]


def _commit(change: Callable[[dict[str, Table]], None]) -> Callable[[Store, Database], None]:
    return lambda store, database: database.commit(change, store.now())


TEXTS = {ADD: _commit(_add), ALTER: _commit(_alter), LOSE: _commit(_lose)}


@dataclass
class StandIn:
    """A stand-in with its store and the folder that it shares."""

    store: Store
    server: TdsServer
    access: Access
    folder: Share
    databases: int = 0
    engines: list[SqlServerEngine] = field(default_factory=list)

    def into(self, share: BucketShare, bucket: BucketOf) -> "StandIn":
        """The same server, which has a credential for that bucket, with its backups in there."""
        self.store.buckets[share.credentials[0]] = bucket
        self.store.credentials[share.credentials[0]] = S3_IDENTITY
        return replace(self, access=replace(self.access, share=share))

    def create(self, name: str = "", **more: Any) -> Database:
        self.databases += 1
        return self.store.create(name or f"his_{self.databases}", sample_tables(), **more)


def make_certificate(folder: Path) -> Path:
    """A certificate for this host's own names, with its key."""
    path = folder / "server.pem"
    names = "subjectAltName=DNS:localhost,IP:127.0.0.1"
    argv = [
        "openssl",
        "req",
        "-x509",
        "-newkey",
        "rsa:2048",
        "-nodes",
        "-days",
        "2",
        "-subj",
        "/CN=localhost",
        "-addext",
        names,
    ]
    subprocess.run(
        [*argv, "-keyout", str(folder / "key.pem"), "-out", str(folder / "ca.pem")], check=True, capture_output=True
    )
    path.write_bytes((folder / "key.pem").read_bytes() + (folder / "ca.pem").read_bytes())
    return path


@contextmanager
def stand_in(folder: Path, name: str = "HISDB", *, certificate: Path | None = None) -> Iterator[StandIn]:
    """A running stand-in that shares ``folder/share`` as ``/backups``."""
    share = folder / "share"
    share.mkdir(parents=True, exist_ok=True)
    store = Store({"/backups": share}, name, texts=dict(TEXTS))
    brain = Brain(store)
    server = TdsServer(brain, {USER: PASSWORD}, certificate, brain.places.open_to_one_more)
    brain.kill = brain.places.kill = server.kill
    brain.places.sessions = server.sessions
    place = Server(
        "127.0.0.1", server.port, USER, Secret(PASSWORD), "require" if certificate else "disable", silence=60
    )
    brain.is_there = server.is_there
    try:
        folder_share = Share("/backups", share)
        yield StandIn(store, server, Access(place, folder_share), folder_share)
    finally:
        server.stop()


def engine_of(access: Access, database: str, runtime: Path, **more: Any) -> SqlServerEngine:
    options = {name: more.pop(name) for name in ("compression", "copy_only") if name in more}
    settings = {"newest": [("dbo.patient", "seen"), ("charge", "day")], "timezone": "Asia/Shanghai", **more}
    connection = SqlServerConnection(access.server, database, access.share, **options)
    return SqlServerEngine("his", connection, clock=SystemClock(), runtime=runtime, **settings)


class SqlServerSource:
    """See tests/contract/test_engines.py. The same texts go to the stand-in and to a real server."""

    def __init__(self, source: Access, scratch: Access, database: str, runtime: Path) -> None:
        self.access = source
        self.database = database
        self.engine: Engine = engine_of(source, database, runtime)
        self.scratch = SqlServerScratch(scratch, HOST, lambda: {"his": server_identity(source)})

    def own(self) -> Instance:
        return self.engine.target()

    def add(self) -> None:
        run(self.access, self.database, ADD)

    def alter(self, of: Instance) -> None:
        endpoint = endpoint_of(of)
        run(endpoint.access, endpoint.database, ALTER)

    def lose(self, of: Instance) -> None:
        endpoint = endpoint_of(of)
        run(endpoint.access, endpoint.database, LOSE)


def server_identity(access: Access) -> str:
    session = connect(access.server)
    try:
        return identity_of(session)
    finally:
        session.close()


def run(access: Access, database: str, text: str) -> None:
    session = connect(access.server, database)
    try:
        session.act(text)
    finally:
        session.close()


@contextmanager
def sqlserver_source() -> Iterator[SqlServerSource]:
    """Two stand-ins with TLS; or, when DRMGR_TEST_SQLSERVER names them, two real servers."""
    with passable_directory() as folder:
        if os.environ.get(REAL):
            with _real_source(folder) as made:
                yield made
            return
        certificate = make_certificate(folder)
        with (
            stand_in(folder / "source", certificate=certificate) as source,
            stand_in(folder / "scratch", "DRILL", certificate=certificate) as scratch,
        ):
            database = source.create()
            yield SqlServerSource(source.access, scratch.access, database.name, folder / "runtime")


@contextmanager
def _real_source(folder: Path) -> Iterator[SqlServerSource]:
    source, scratch = real_servers()
    name = f"drmgr_test_{uuid.uuid4().hex[:12]}"
    run(source, "master", f"CREATE DATABASE [{name}]")
    try:
        run(source, "master", f"ALTER DATABASE [{name}] SET RECOVERY FULL")
        for statement in CREATE.split(";\n"):
            if statement.strip():
                run(source, name, statement)
        yield SqlServerSource(source, scratch, name, folder / "runtime")
    finally:
        run(source, "master", f"DROP DATABASE [{name}]")


def real_servers() -> tuple[Access, Access]:
    """A source and a scratch server, as a JSON file that the environment names tells them; see docs/sqlserver.md."""
    described = json.loads(Path(os.environ[REAL]).read_text(encoding="utf-8"))
    return _real(described["source"]), _real(described["scratch"])


def _real(found: dict[str, Any]) -> Access:
    password, tls = Secret(found["password"]), found.get("tls", "require")
    server = Server(found["host"], found.get("port", 1433), found["user"], password, tls)
    return Access(server, Share(found["server_folder"], Path(found["local_folder"])))
