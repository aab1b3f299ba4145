"""Every statement that goes to SQL Server, kept as text that a person can run by hand. No real server has run them yet.

To change one on purpose: DRMGR_WRITE_GOLDEN=1, and read what git shows.
"""

import os
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from drmgr.engines.sqlserver import renaming, statements, tablesql
from drmgr.engines.sqlserver.encode import Column, row_text
from drmgr.engines.sqlserver.rowcopy import TableAt, copy_rows
from drmgr.engines.sqlserver.tabledef import ColumnDefinition, Definition, Index, index_text, table_text
from drmgr.engines.sqlserver.tables import SqlServerTables
from drmgr.model import TableShape
from drmgr.system import mssql, mssql_server
from drmgr.system.mssql_access import Share
from drmgr.system.mssql_bucket import BucketShare
from drmgr.system.secret import Secret

GOLDEN = Path(__file__).parent / "golden" / "sqlserver"

DEVICE = Share("/backups", Path("/mnt/backups")).device("example.bak")
WINDOWS = Share("\\\\nas\\drmgr", Path("/mnt/backups")).device("example.bak")
OBJECT = BucketShare("s3://store.example:9000/drmgr/his", "https://store.example:9000", Secret(""), Secret(""))
REGIONAL = replace(OBJECT, region="cn-north-1").device("example.bak")
URL = OBJECT.device("example.bak")
OPTIONS = ("NO_COMPRESSION",)
NAMED = {"label": "drmgr 0123456789abcdef", "note": "drmgr begun=2026-11-22T14:00:00.000000 utc_offset_minutes=480"}
LSN = 34_000_000_012_800_001

KINDS = (
    *(
        "int",
        "money",
        "datetime2",
        "float",
        "uniqueidentifier",
        "nvarchar",
        "varbinary",
        "xml",
        "ntext",
        "text",
        "date",
    ),
    *("decimal", "datetimeoffset", "geography", "bit", "char", "image"),
)
ROW = row_text([Column(f"c{number} {kind}]", kind, 8) for number, kind in enumerate(KINDS)], 16)
assert ROW is not None

LAYING = "drmgr_laying_0123456789abcdef"
WORDS = {
    **{kind: f"{kind}(100)" for kind in ("nvarchar", "char")},
    **{kind: f"{kind}(7)" for kind in ("datetime2", "datetimeoffset")},
    **{"decimal": "decimal(12, 4)", "varbinary": "varbinary(max)", "timestamp": "binary(8)"},
}
LAID = Definition(
    (
        ColumnDefinition(Column("id", "int", 4), "int", nullable=False, identity=("1", "1")),
        *(
            ColumnDefinition(Column(f"c {kind}]", kind, 8), WORDS.get(kind, kind), nullable=True)
            for kind in (*KINDS, "real", "hierarchyid", "timestamp")
        ),
        ColumnDefinition(
            Column("name", "varchar", 20), "varchar(20)", False, "Chinese_PRC_CI_AS", default="(N'x')", comment="o'x"
        ),
        ColumnDefinition(
            Column("twice", "int", 4, derived=True), "int", nullable=False, computed="([id]*(2))", persisted=True
        ),
        ColumnDefinition(Column("once", "int", 4, derived=True), "int", nullable=True, computed="([id])"),
    ),
    (),
    None,
    (),
)
VALUES = (
    *(
        "1",
        "-7",
        "0.1000",
        "2025-12-31 08:00:00.5000000",
        "3FB999999999999A",
        "00" * 16,
        "药".encode("utf-16-le"),
        b"\x00",
    ),
    *(
        "<a/>".encode("utf-16-le"),
        b"",
        None,
        "2025-12-31",
        "-0.5000",
        "2025-12-31 08:00:00.0000000 +08:00",
        b"\x01",
        "1",
    ),
    *(b"a\0", b"\xff", "3DCCCCCD", b"\x58", "00000000000007D1", "药".encode("gbk")),
)


class Spoken:
    """A session that has these rows, and remembers what it was told."""

    def __init__(self) -> None:
        self.statements: list[str] = []

    def stream(self, statement: str, _at_once: int) -> Iterator[tuple[Any, ...]]:
        self.statements.append(statement)
        yield from (VALUES, (None,) * len(VALUES))

    def act(self, statement: str) -> None:
        self.statements.append(statement)


def copied() -> list[str]:
    """To take the numbers, to read, to lay, and to take no more."""
    spoken: Any = Spoken()
    there, here = (TableAt(spoken, "dbo", name, "Chinese_PRC_CI_AS") for name in ("patient", LAYING))
    copy_rows(there, here, LAID.columns, lambda _share, _word: None, 2)
    found: list[str] = spoken.statements
    return found


OWN_NUMBERS, READ, LAY, NO_NUMBERS = copied()
PRIMARY = Index("PK", True, True, True, (("id", False), ("o]", True)), (), None)
FILTERED = Index("o'dd]", True, False, False, (("id", True),), ("name", "b"), "([id]>(0))")

TABLES = {
    "snapshots": tablesql.SNAPSHOTS,
    "one-view": tablesql.ONE_VIEW,
    "collation": tablesql.COLLATION,
    "half-laid": tablesql.HALF_LAID,
    "find-table": tablesql.find("patient"),
    "columns-of-table": tablesql.columns_of("dbo", "patient", tells_encryption=True),
    "columns-of-table-before-2016": tablesql.columns_of("dbo", "patient", tells_encryption=False),
    "indexes-of-table": tablesql.indexes_of("dbo", "patient"),
    "rest-of-table": tablesql.rest_of("dbo", "patient"),
    "object": tablesql.object_id("dbo", "patient"),
    "digests": tablesql.digests("dbo", "o'dd ]name", *(row_text([Column(each, "int", 4)], 16) or "" for each in "ab")),
    "read-rows": READ,
    "lay-rows": LAY,
    "own-numbers": OWN_NUMBERS,
    "own-numbers-off": NO_NUMBERS,
    "create-table": table_text("dbo", LAYING, LAID),
    "primary-key": index_text("dbo", LAYING, PRIMARY),
    "create-index": index_text("dbo", LAYING, FILTERED),
    "describe": tablesql.describe("dbo", LAYING, None, "o'x 病人"),
    "describe-column": tablesql.describe("dbo", LAYING, "name", "姓名"),
    "rename": tablesql.rename("dbo", LAYING, "o'dd ]name__drmgr_20260105_1403"),
    "drop-table": tablesql.drop_table("dbo", LAYING),
    "hold": tablesql.hold(LAYING),
    "is-free": tablesql.is_free(LAYING),
}

LIVE = TableShape("dbo", "o'dd ]name", LAID.words, ("id", "c date]"), ())
BESIDE = replace(LIVE, name="o'dd ]name__drmgr_20260105_1403")
TOLD: Any = SqlServerTables.statements
KEYED, KEYLESS = (TOLD(None, LIVE, BESIDE, list(LAID.words), key) for key in (LIVE.key, ()))

STATEMENTS = {
    **TABLES,
    # these are printed for a person, and drmgr never sends them
    **{f"look-{what}": statement for what, statement in KEYED.look.items()},
    **{f"look-{what}-without-key": statement for what, statement in KEYLESS.look.items()},
    "look-drop": KEYED.drop,
    "entered": mssql.ENTERED,
    "settings": mssql.SETTINGS,
    "now": statements.NOW,
    "server": statements.SERVER,
    "database": statements.database("his"),
    "rights": statements.rights("his"),
    "file-exists": statements.file_exists("/backups/example.bak"),
    "backup-full": statements.backup("full", "his", DEVICE, OPTIONS, **NAMED),
    "backup-copy": statements.backup("full", "o'dd ]his", WINDOWS, ("COPY_ONLY", "COMPRESSION"), **NAMED),
    "backup-differential": statements.backup("differential", "his", DEVICE, OPTIONS, **NAMED),
    "backup-log": statements.backup("log", "his", DEVICE, OPTIONS, **NAMED),
    "backup-log-copy": statements.backup("log", "his", DEVICE, ("COPY_ONLY", "NO_COMPRESSION"), **NAMED),
    "credentials": statements.credentials(OBJECT.credentials),
    "backup-url": statements.backup("full", "his", URL, OPTIONS, **NAMED),
    "backup-url-compressed": statements.backup("differential", "his", REGIONAL, ("COMPRESSION",), **NAMED),
    "header-url": statements.header_only(URL),
    "header-url-region": statements.header_only(REGIONAL),
    "file-list-url": statements.file_list_only(URL),
    "verify-url": statements.verify_only(URL),
    "verify-url-region": statements.verify_only(REGIONAL),
    "restore-url": statements.restore_database("drill", REGIONAL, {"his": "/data/drill_1.mdf"}),
    "restore-log-url-to-time": statements.restore_log("drill", URL, statements.stop_at("2026-11-22T22:00:00.123")),
    "header": statements.header_only(DEVICE),
    "file-list": statements.file_list_only(DEVICE),
    "verify": statements.verify_only(DEVICE),
    "log-backups-of-others": statements.log_backups_between("his", LSN, LSN + 800_008),
    "restore": statements.restore_database(
        "drill", DEVICE, {"his": "/data/drill_1.mdf", "his_log": "/data/drill_2.ldf"}
    ),
    "restore-differential": statements.restore_database("drill", DEVICE, {}),
    "restore-log": statements.restore_log("drill", DEVICE),
    "restore-log-to-time": statements.restore_log("drill", DEVICE, statements.stop_at("2026-11-22T22:00:00.123")),
    "restore-log-to-position": statements.restore_log("drill", DEVICE, statements.stop_at_position(LSN)),
    "recover": statements.recover("drill"),
    "free-space": statements.free_space("/var/opt/mssql/data/"),
    "files": statements.files("his"),
    "occupied": statements.occupied("drill"),
    "check": statements.check("drill"),
    "databases": mssql_server.databases_like("drmgr_0123abcd_"),
    "alone": mssql_server.alone("drill"),
    "drop": mssql_server.drop("drill"),
    "admin": renaming.ADMIN,
    "standing": renaming.standing("his"),
    "subscribes": renaming.SUBSCRIBES,
    "sessions": renaming.sessions("his"),
    "end-session": renaming.end_session(57),
    "alone-if-unused": renaming.alone_if_unused("his"),
    "rename-database": renaming.rename("his", "his_before_01kzzzzzzzzzzzzzzzzzzzzzzz"),
    "admit": renaming.admit("his", restricted=False),
    "admit-restricted": renaming.admit("his", restricted=True),
    "broker": renaming.broker("his", enabled=True),
    "broker-resting": renaming.broker("his", enabled=False),
    "trust": renaming.trust("his"),
    "chain": renaming.chain("his"),
    "owner": renaming.OWNER,
    "own": renaming.own("his", "sa"),
    "orphaned-users": renaming.ORPHANS,
    "adopt": renaming.adopt("his", "reader"),
    "tables": statements.TABLES,
    "columns": statements.columns(tells_encryption=True),
    "columns-before-2016": statements.columns(tells_encryption=False),
    "count": statements.count("dbo", "patient"),
    "fingerprint": statements.fingerprint("dbo", "o'dd ]name", ROW),
    "newest": statements.newest("dbo", "patient", "seen"),
    "column-type": statements.column_type("dbo", "patient", "seen"),
    "principals": statements.PRINCIPALS,
    "members": statements.MEMBERS,
    "permissions": statements.PERMISSIONS,
    "begin": statements.BEGIN,
    "undo": statements.UNDO,
    **{f"structure-{name}": statement for name, statement in statements.STRUCTURE.items()},
}


@pytest.mark.parametrize("name", sorted(STATEMENTS))
def test_statement_is_the_one_that_is_kept(name: str) -> None:
    path = GOLDEN / f"{name}.sql"
    if os.environ.get("DRMGR_WRITE_GOLDEN"):
        path.write_text(f"{STATEMENTS[name]}\n", encoding="utf-8")
    assert path.read_text(encoding="utf-8") == f"{STATEMENTS[name]}\n"


def test_every_kept_text_is_one_that_is_sent() -> None:
    assert {path.stem for path in GOLDEN.glob("*.sql")} == set(STATEMENTS)
