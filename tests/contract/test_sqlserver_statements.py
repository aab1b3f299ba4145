"""Every statement that goes to SQL Server, kept as text that a person can run by hand. No real server has run them yet.

To change one on purpose: DRMGR_WRITE_GOLDEN=1, and read what git shows.
"""

import os
from dataclasses import replace
from pathlib import Path

import pytest

from drmgr.engines.sqlserver import statements
from drmgr.engines.sqlserver.encode import Column, row_text
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

STATEMENTS = {
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
    "occupied": statements.occupied("drill"),
    "check": statements.check("drill"),
    "databases": mssql_server.databases_like("drmgr_0123abcd_"),
    "alone": mssql_server.alone("drill"),
    "drop": mssql_server.drop("drill"),
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
