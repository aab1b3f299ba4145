"""A job of jobs/ serves SQL Server as it stands: backed up, brought back on the scratch server, and its checks asked there.

The stand-in asks SQLite for what a query comes to, so this proves the way and the types; that SQL Server takes the very
texts is what tests/unit/demo/test_portable.py holds them to.
"""

import sqlite3
from collections.abc import Iterator
from dataclasses import replace
from datetime import date, datetime
from decimal import Decimal
from functools import partial
from pathlib import Path
from typing import Any, cast, get_type_hints

import pytest
from ruamel.yaml import YAML

from drmgr.cli.wiring.checks import declared
from drmgr.config import models
from drmgr.demo.departments.queue import QueueDepartment
from drmgr.demo.his import LOCAL
from drmgr.demo.tables import columns_of
from drmgr.interfaces import Engine
from drmgr.model import CheckStatus, Level
from tests.contract.sqlserver.conftest import new_place
from tests.support.demo_data import Row, department_rows, hospital_rows
from tests.support.sqlserver import StandIn
from tests.support.sqlserver_place import SqlServerPlace
from tests.support.tds.store import Column, Database, Table

JOB = models.Job.model_validate(YAML(typ="safe").load(Path(__file__).parents[3] / "jobs" / "queue.yaml"))
KINDS = {
    int: ("bigint", 8),
    str: ("nvarchar", 400),
    Decimal: ("decimal", 9),
    date: ("date", 3),
    datetime: ("datetime2", 8),
    bool: ("bit", 1),
}
# the rows are of 2026 and the backup is of today: how fresh they are is nothing that this test can ask
CHECKS = [check for check in JOB.checks if isinstance(check, models.SqlCheck | models.RowsCheck)]


def as_table(kind: type[Row], rows: list[Row]) -> Table:
    hints = get_type_hints(kind)
    columns = [Column(name, *_kind(hints[name])) for name in columns_of(kind)]
    return Table(tuple(columns), tuple(tuple(map(_plain, row)) for row in rows))


def _kind(hint: Any) -> tuple[str, int]:
    return next(KINDS[part] for part in getattr(hint, "__args__", (hint,)) if part in KINDS)


def _plain(value: object) -> object:
    return value.astimezone(LOCAL).replace(tzinfo=None) if isinstance(value, datetime) else value


def ask(sql: str, database: Database) -> list[list[Any]]:
    """What the query comes to over the tables that the stand-in holds."""
    with sqlite3.connect(":memory:") as asked:
        for name, table in database.tables.items():
            plain = name.removeprefix("dbo.")
            asked.execute(f"CREATE TABLE {plain} ({', '.join(column.name for column in table.columns)})")
            places = ", ".join("?" * len(table.columns))
            rows = [[_known(value) for value in row] for row in table.rows]
            asked.executemany(f"INSERT INTO {plain} VALUES ({places})", rows)
        return [list(row) for row in asked.execute(sql)]


def _known(value: object) -> object:
    return float(value) if isinstance(value, Decimal) else str(value) if isinstance(value, date) else value


@pytest.fixture
def place(servers: tuple[StandIn, StandIn], tmp_path: Path) -> Iterator[SqlServerPlace]:
    rows = department_rows(hospital_rows(tmp_path), tmp_path)
    tables = {f"dbo.{t.name}": as_table(t.row, [r for r in rows if type(r) is t.row]) for t in QueueDepartment.TABLES}
    scratch = servers[1].store
    scratch.answers |= {check.sql: partial(ask, check.sql) for check in CHECKS}
    with new_place(servers, newest=[("dbo.queue_ticket", "taken_at")]) as made:
        made.database.tables = tables
        engines = {"main": cast(Engine, made.engine)}
        checks = tuple(declared(check, engines, lambda: b"key") for check in CHECKS)
        made.wired = replace(made.wired, checks=(*made.wired.checks, *checks))
        yield made
    scratch.answers.clear()


def test_its_checks_pass_on_what_came_back(place: SqlServerPlace) -> None:
    place.back_up()
    done = place.restore()
    found = {check.name: check.status for check in done.outcome.checks}
    assert {check.name for check in CHECKS} <= found.keys()
    assert (set(found.values()), done.outcome.level) == ({CheckStatus.PASS}, Level.BUSINESS)


def test_its_checks_fail_on_what_was_wrong_already_when_it_was_backed_up(place: SqlServerPlace) -> None:
    payments = place.database.tables["dbo.ticket_payment"]
    place.database.tables["dbo.ticket_payment"] = Table(payments.columns, payments.rows[1:])
    place.back_up()
    done = place.restore()
    found = {check.name: check.status for check in done.outcome.checks if check.status is not CheckStatus.PASS}
    assert found == {"fees-paid": CheckStatus.FAIL}
    assert done.outcome.level is Level.FACTS
