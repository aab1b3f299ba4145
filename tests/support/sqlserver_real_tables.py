"""The same for two real servers that DRMGR_TEST_SQLSERVER names. Nobody has run it yet: see docs/sqlserver.md."""

import uuid
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import replace
from pathlib import Path

from drmgr.engines.sqlserver.tables import SqlServerTables
from drmgr.interfaces import TableEngine
from drmgr.system.mssql import Row, connect
from drmgr.system.mssql_access import Access
from tests.support.folders import passable_directory
from tests.support.sqlserver import engine_of, real_servers, run
from tests.support.sqlserver_tables import ROWS, Sample

NUMBERS = "(SELECT ROW_NUMBER() OVER (ORDER BY object_id, column_id) AS n FROM sys.all_columns) AS q WHERE n <="
STATEMENTS = (
    "CREATE SCHEMA ward",
    "CREATE SEQUENCE dbo.tickets AS int START WITH 100000",
    """CREATE TABLE dbo.patient (id int IDENTITY(1, 1) NOT NULL PRIMARY KEY, name nvarchar(100) NOT NULL,
      code varchar(20) COLLATE Chinese_PRC_CI_AS DEFAULT ('x'), born date, seen datetime2(7), at datetimeoffset(7),
      day datetime, hour time(3), short smalldatetime, cost decimal(12, 4) DEFAULT (0), twice AS (cost * 2) PERSISTED,
      note nvarchar(max), old ntext, older text, document xml, raw varbinary(max), picture image, fixed binary(4),
      letters char(6), own uniqueidentifier DEFAULT (NEWID()), weight float, small real, ok bit, fee money, few smallmoney,
      path hierarchyid, place geography, ticket int DEFAULT (NEXT VALUE FOR dbo.tickets), CHECK (cost > -1))""",
    "CREATE INDEX [by name] ON dbo.patient (name, born DESC) INCLUDE (cost)",
    "CREATE UNIQUE INDEX [ticket]]s] ON dbo.patient (ticket) WHERE ticket IS NOT NULL",
    "EXECUTE sys.sp_addextendedproperty N'MS_Description', N'病人', N'SCHEMA', N'dbo', N'TABLE', N'patient'",
    "EXECUTE sys.sp_addextendedproperty N'MS_Description', N'住院号 ''id''', N'SCHEMA', N'dbo', N'TABLE', N'patient', "
    "N'COLUMN', N'id'",
    f"""SET IDENTITY_INSERT dbo.patient ON;
    INSERT INTO dbo.patient (id, name, code, born, seen, at, day, hour, short, cost, note, old, older, document, raw, picture,
      fixed, letters, own, weight, small, ok, fee, few, path, place, ticket)
    SELECT n, N'张三𠮷' + CONVERT(nvarchar(9), n), CONVERT(varchar(20), CASE n WHEN 8 THEN 0xD2A9FF81 ELSE 0xD2A9 END),
      DATEADD(DAY, n, '1970-01-01'), DATEADD(NANOSECOND, n * 100, CONVERT(datetime2(7), '2025-12-31T08:00:00.5')),
      TODATETIMEOFFSET(DATEADD(SECOND, n, '2025-12-31T08:00:00.5'), '+08:00'), DATEADD(MILLISECOND, n, '2025-12-31'),
      DATEADD(MILLISECOND, n, '08:00'), DATEADD(MINUTE, n, '2025-12-31'), n / 8.0,
      CASE n WHEN 7 THEN REPLICATE(CONVERT(nvarchar(max), N'长'), 20000) ELSE N'头痛 ''"' + NCHAR(13) + NCHAR(10) END,
      N'药', 'x', N'<a> ' + CONVERT(nvarchar(9), n) + N' </a>', CONVERT(varbinary(3), n), CONVERT(varbinary(3), n), 0x01,
      'ab', CONVERT(uniqueidentifier, CONVERT(binary(16), n)), n / 3e0, 0.1e0 * n, n % 2, n / 4.0, n / 3.0,
      CONVERT(hierarchyid, N'/' + CONVERT(nvarchar(9), n) + N'/'), geography::Point(n % 90, n % 180, 4326), n
    FROM {NUMBERS} {ROWS - 1};
    INSERT INTO dbo.patient (id, name, code, note, raw, own, ticket) VALUES ({ROWS}, N'', '', N'', 0x, NULL, NULL);
    SET IDENTITY_INSERT dbo.patient OFF""",
    """CREATE TABLE dbo.charge (patient bigint NOT NULL, day date NOT NULL, amount money DEFAULT (0),
      PRIMARY KEY NONCLUSTERED (day DESC, patient))""",
    f"INSERT INTO dbo.charge SELECT n, DATEADD(DAY, n, '2025-11-01'), n / 3.0 FROM {NUMBERS} 28",
    "CREATE TABLE dbo.[odd ]]name] ([sel]]ect] int, 价 nvarchar(10)); INSERT INTO dbo.[odd ]]name] VALUES (1, N'一')",
    "CREATE TABLE ward.restraint (n int NOT NULL); INSERT INTO ward.restraint VALUES (5), (6)",
    "CREATE TABLE dbo.空 (n int)",
    "CREATE TABLE dbo.queue (n int); INSERT INTO dbo.queue VALUES (1), (2), (3), (3)",
    "CREATE VIEW dbo.patient_codes AS SELECT code FROM dbo.patient",
    "CREATE TRIGGER dbo.watched ON dbo.patient AFTER DELETE AS SET NOCOUNT ON",
)


class RealGround(Sample):
    """One of everything, in a database of each server."""

    def __init__(self, restored: tuple[Access, str], live: tuple[Access, str], runtime: Path) -> None:
        self._access, self._database = live
        self.engine = engine_of(*live, runtime)
        self.tables: TableEngine = SqlServerTables(self.engine)
        self.live = self.engine.target()
        self.scratch = replace(engine_of(*restored, runtime / "drill").target(), database=restored[1])

    def run(self, script: str) -> None:
        run(self._access, self._database, script)

    def names_now(self) -> set[str]:
        found = self._rows(
            "SELECT SCHEMA_NAME(schema_id) + N'.' + name AS label FROM sys.objects WHERE is_ms_shipped = 0"
        )
        # what belongs to a table is made and goes with it
        return {str(row["label"]) for row in found}

    def end_session(self) -> None:
        others = "SELECT session_id FROM sys.dm_exec_sessions WHERE database_id = DB_ID() AND session_id <> @@SPID"
        for row in self._rows(others):
            run(self._access, "master", f"KILL {int(row['session_id'])}")

    def _rows(self, statement: str) -> list[Row]:
        session = connect(self._access.server, self._database)
        try:
            return session.rows(statement)
        finally:
            session.close()


@contextmanager
def real_ground() -> Iterator[RealGround]:
    source, scratch = real_servers()
    with passable_directory() as folder, ExitStack() as dropped:
        restored, live = ((access, _made(access, dropped)) for access in (scratch, source))
        yield RealGround(restored, live, folder / "runtime")


def _made(access: Access, dropped: ExitStack) -> str:
    """A new database, which is dropped at the end."""
    name = f"drmgr_test_{uuid.uuid4().hex[:12]}"
    run(access, "master", f"CREATE DATABASE [{name}]")
    dropped.callback(run, access, "master", f"DROP DATABASE [{name}]")
    for statement in STATEMENTS:
        run(access, name, statement)
    return name
