"""The synthetic hospital without any server: its rows in SQLite, its files in folders, and an engine that asks them."""

import re
import sqlite3
from collections.abc import Iterator
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from pathlib import Path

from drmgr.demo import his_rows, pacs_rows
from drmgr.demo.departments.all import DEPARTMENTS
from drmgr.demo.his import LOCAL, Clinic, Scale, write_history
from drmgr.demo.his_rows import MedicalOrder, Patient
from drmgr.demo.pacs import Radiology
from drmgr.demo.systems import FOLDERS
from drmgr.demo.tables import columns_of, names_of
from drmgr.model import Facts, Instance, Json, Member, Objectives, Part, PointStatus, RecoveryPoint, Restored

NOW = datetime(2026, 1, 5, 9, 30, tzinfo=UTC)
SCALE = Scale(visits=160, studies=5)
Row = tuple[object, ...]


class Rows:
    """A sink that keeps every row in memory."""

    def __init__(self) -> None:
        self.all: list[Row] = []

    def add(self, row: Row) -> None:
        self.all.append(row)


TABLES: dict[type[Row], str] = {
    **his_rows.TABLES,
    **pacs_rows.TABLES,
    **{row: name for each in DEPARTMENTS.values() for row, name in names_of(each.TABLES).items()},
}


def department_rows(his: list[Row], folder: Path, *, seed: int = 7) -> list[Row]:
    """All rows of the systems that live on what the HIS tells them; scans are written below ``folder``."""
    told, found = sqlite_of(his), Rows()

    def ask(query: str) -> Iterator[Row]:
        for row in told.execute(query):
            yield tuple(map(_typed, row))

    for system, maker in DEPARTMENTS.items():
        department = maker(found, NOW, seed=seed)
        department.root = folder / FOLDERS.get(system, system)
        department.catch_up(ask)
    told.close()
    return found.all


def _typed(value: object) -> object:
    """SQLite keeps times as texts and money as floating numbers."""
    if isinstance(value, float):
        return Decimal(str(round(value, 2)))
    if isinstance(value, str) and re.fullmatch(r"\d{4}-\d\d-\d\dT.*", value):
        return datetime.fromisoformat(value).astimezone(LOCAL)
    return value


def hospital_rows(images: Path, *, seed: int = 7) -> list[Row]:
    """All rows of HIS and PACS; the images are written below ``images``."""
    his, pacs = Rows(), Rows()
    write_history(Clinic(his, NOW, seed=seed), SCALE, NOW, seed=seed)
    patients = {row.id: row for row in his.all if isinstance(row, Patient)}
    radiology = Radiology(pacs, images, NOW, seed=seed)
    for row in his.all:
        if isinstance(row, MedicalOrder) and row.kind == "imaging":
            who = patients[row.patient_id]
            order = (row.id, who.record_no, who.name, who.sex, who.birth_date, row.content, row.ordered_at)
            radiology.examine(pacs_rows.ImagingOrder(*order))
    return his.all + pacs.all


def sqlite_of(rows: list[Row]) -> sqlite3.Connection:
    """The rows in an SQLite database in memory: no keys, no types, so that it can be damaged in any way."""
    database = sqlite3.connect(":memory:")
    for kind, table in TABLES.items():
        database.execute(f"CREATE TABLE {table} ({', '.join(columns_of(kind))})")
    for row in rows:
        places = ", ".join("?" * len(row))
        database.execute(f"INSERT INTO {TABLES[type(row)]} VALUES ({places})", [_plain(value) for value in row])
    database.commit()
    return database


def _plain(value: object) -> object:
    if isinstance(value, datetime):
        return value.astimezone(UTC).isoformat(timespec="microseconds")
    if isinstance(value, date):
        return value.isoformat()
    return float(value) if isinstance(value, Decimal) else value


class SqliteEngine:
    """Answers what the checks ask of an SqlEngine."""

    def __init__(self, database: sqlite3.Connection) -> None:
        self.database = database

    def scalar(self, of: Instance, sql: str) -> Json:
        del of
        ((value,),) = self.database.execute(sql).fetchall()
        return value

    def newest(self, of: Instance, table: str, column: str) -> datetime | None:
        value = self.scalar(of, f"SELECT max({column}) FROM {table.removeprefix('public.')}")
        return None if value is None else datetime.fromisoformat(value)

    def rows(self, of: Instance, sql: str) -> Iterator[tuple[Json, ...]]:
        del of
        for row in self.database.execute(sql):
            # SQLite sums in binary what the servers keep as exact cents
            yield tuple(round(value, 2) if isinstance(value, float) else value for value in row)


def restored_hospital(files: Path, *, consistent_at: datetime = NOW, images: Path | None = None) -> Restored:
    """A restored system whose sources are main, index, images and scans; the last two lie below ``files``."""
    facts = Facts("fake", consistent_at, {})
    folders = {"images": images or files / FOLDERS["pacs"], "scans": files / FOLDERS["mrm"]}
    names = ("main", "index", "images", "scans")
    members = tuple(Member(name, "fake", consistent_at, (Part("p", "s", 1, 1),), facts) for name in names)
    point = RecoveryPoint("P", "demo", "R", NOW, consistent_at, PointStatus.COMPLETE, members, {}, "host")
    instances = {name: Instance("fake", path=folders.get(name)) for name in names}
    return Restored(point, instances, Objectives(timedelta(hours=1), timedelta(hours=1)))
