"""A restored database and a live one on two stand-ins for SQL Server, for what lays single tables."""

import datetime
import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from decimal import Decimal
from pathlib import Path
from typing import Any

from drmgr.engines.sqlserver.tables import SqlServerTables
from drmgr.interfaces import TableEngine
from tests.support.folders import passable_directory
from tests.support.sqlserver import StandIn, engine_of, run, stand_in
from tests.support.tds.store import Column, Database, Index, Store, Table, appended

ROWS = 450
"""More than go into one statement."""

COLLATED: dict[str, Any] = {"collation": "Chinese_PRC_CI_AS"}
ZONE = datetime.timezone(datetime.timedelta(hours=8))
LONG = "长" * 20_000
SPOILED = b"\xd2\xa9\xff\x81".decode("gbk", "surrogateescape")
"""Half of it is in no code page, as programs leave it behind that send bytes for letters."""


def tables() -> dict[str, Table]:
    """One of everything that a table can have, as a server would tell it."""
    return {
        "dbo.patient": _patient(),
        "dbo.charge": Table(
            (
                Column("patient", "bigint", nullable=False),
                Column("day", "date", 3, nullable=False),
                Column("amount", "money", default="((0))"),
            ),
            tuple((number, datetime.date(2025, 11, number), Decimal(number) / 3) for number in range(1, 29)),
            (Index("PK_charge", (("day", True), ("patient", False)), primary=True, unique=True),),
        ),
        "dbo.odd ]name": Table((Column("sel]ect", "int", 4), Column("价", "nvarchar", 20, **COLLATED)), ((1, "一"),)),
        "ward.restraint": Table((Column("n", "int", 4, nullable=False),), ((5,), (6,))),
        "dbo.空": Table((Column("n", "int", 4),), ()),
        "dbo.queue": Table((Column("n", "int", 4),), ((1,), (2,), (3,), (3,))),
        "dbo.versioned": Table(
            (Column("id", "int", 4, nullable=False), Column("version", "timestamp", nullable=False)),
            tuple((number, (2000 + number).to_bytes(8, "big")) for number in range(3)),
            (Index("PK_versioned", (("id", False),), primary=True, unique=True, number=1),),
        ),
        "dbo.masked": Table((Column("id", "int", 4), Column("phone", "nvarchar", 40, masked=True)), ((1, "138"),)),
    }


def _patient() -> Table:
    columns = (
        Column("id", "int", 4, nullable=False, identity=("1", "1"), comment="住院号 'id'"),
        Column("name", "nvarchar", 200, nullable=False, **COLLATED),
        Column("code", "varchar", 20, default="('x')", **COLLATED),
        Column("born", "date", 3),
        Column("seen", "datetime2", scale=7),
        Column("at", "datetimeoffset", 10, scale=7),
        Column("cost", "decimal", 9, 12, 4, default="((0))"),
        Column("twice", "decimal", 17, 23, 4, computed="([cost]*(2))", persisted=True),
        Column("note", "nvarchar", -1, **COLLATED),
        Column("document", "xml", -1),
        Column("raw", "varbinary", -1),
        Column("own", "uniqueidentifier", 16, default="(newid())"),
        Column("weight", "float"),
        Column("small", "real", 4),
        Column("ok", "bit", 1),
        Column("fee", "money"),
        Column("ticket", "int", 4, default="(NEXT VALUE FOR [dbo].[tickets])"),
    )
    indexes = (
        Index("PK_patient", (("id", False),), primary=True, unique=True, number=1),
        Index("by name", (("name", False), ("born", True)), included=("cost",)),
        Index("ticket]s", (("ticket", False),), unique=True, condition="([ticket] IS NOT NULL)"),
        Index("columns", (("cost", False),), number=6),
    )
    rows = tuple(map(_row, range(1, ROWS)))
    return Table(columns, (*rows, _bare(ROWS, "")), indexes, "病人", (1, 2, 1))


def _row(number: int) -> tuple[Any, ...]:
    seen = datetime.datetime.fromisoformat("2025-12-31T08:00:00.5") + datetime.timedelta(seconds=number)
    cost = Decimal(number) / 8
    return (
        *(
            number,
            f"张三𠮷{number}",
            SPOILED if number == 8 else f"药{number}",
            seen.date(),
            seen,
            seen.replace(tzinfo=ZONE),
            cost,
            cost * 2,
        ),
        *(LONG if number == 7 else f"头痛 {number} '\"\\\r\n", f"<a> {number} </a>", number.to_bytes(3, "big")),
        *(uuid.UUID(int=number * 7919), number / 3, 0.10000000149011612, bool(number % 2), Decimal(number) / 4, number),
    )


def _bare(number: int, name: str) -> tuple[Any, ...]:
    # an empty value, and one that no value is
    return (number, name, "", None, None, None, Decimal(0), Decimal(0), "", None, b"", *[None] * 6)


class Sample:
    """What is in the databases; see tests/support/tables.py."""

    names = ("patient", "dbo.charge", "[odd ]]name]", "odd ]name", "ward.restraint", "空", "[dbo].queue")
    view = "patient_codes"
    spare = 303
    keyless = "queue"
    change_keyless = "DELETE TOP (1) FROM queue WHERE n = 3; INSERT INTO queue VALUES (77), (77)"
    alter_keyless = "ALTER TABLE queue ADD more int"


class SqlServerGround(Sample):
    """On two stand-ins: ``database`` is the live one."""

    def __init__(self, restored: StandIn, live: StandIn, runtime: Path) -> None:
        self.server = live
        self.database = live.store.create("his", tables(), others={"dbo.patient_codes": "V"})
        self.restored = restored.store.create("drill", tables())
        live.store.texts.update({script: _committed(change) for script, change in self._scripts().items()})
        self.engine = engine_of(live.access, "his", runtime)
        self.tables: TableEngine = SqlServerTables(self.engine)
        self.live = self.engine.target()
        self.scratch = replace(engine_of(restored.access, "drill", runtime / "drill").target(), database="drill")

    def run(self, script: str) -> None:
        run(self.server.access, "his", script)

    def names_now(self) -> set[str]:
        return {*self.database.tables, *self.database.others}

    def end_session(self) -> None:
        self.server.server.hang_up("his")

    def _scripts(self) -> dict[str, Callable[[dict[str, Table]], None]]:
        """What SQL Server would make of these."""
        changed = (
            f"UPDATE patient SET cost = cost + 0.0001 WHERE id IN (7, 8); DELETE FROM patient WHERE id = {self.spare};"
            "INSERT INTO patient (name) VALUES ('新'), ('新')"
        )
        return {changed: _change_patients, self.change_keyless: _change_queue, self.alter_keyless: _alter_queue}


def _committed(change: Callable[[dict[str, Table]], None]) -> Callable[[Store, Database], None]:
    return lambda store, database: database.commit(change, store.now())


def _change_patients(found: dict[str, Table]) -> None:
    patient = found["dbo.patient"]
    cost, more = patient.column("cost"), Decimal("0.0001")

    def changed(row: tuple[Any, ...]) -> tuple[Any, ...]:
        if row[0] not in (7, 8):
            return row
        return (*row[:cost], row[cost] + more, (row[cost] + more) * 2, *row[cost + 2 :])

    kept = tuple(changed(row) for row in patient.rows if row[0] != SqlServerGround.spare)
    found["dbo.patient"] = appended(replace(patient, rows=kept), _bare(ROWS + 1, "新"), _bare(ROWS + 2, "新"))


def _change_queue(found: dict[str, Table]) -> None:
    found["dbo.queue"] = replace(found["dbo.queue"], rows=((1,), (2,), (3,), (77,), (77,)))


def _alter_queue(found: dict[str, Table]) -> None:
    queue = found["dbo.queue"]
    rows = tuple((*row, None) for row in queue.rows)
    found["dbo.queue"] = Table((*queue.columns, Column("more", "int", 4)), rows)


@contextmanager
def sqlserver_ground() -> Iterator[SqlServerGround]:
    with (
        passable_directory() as folder,
        stand_in(folder / "restored", "DRILL") as restored,
        stand_in(folder / "live") as live,
    ):
        yield SqlServerGround(restored, live, folder / "runtime")
