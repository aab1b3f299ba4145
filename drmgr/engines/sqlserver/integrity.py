"""The engine's own proof that its structures are sound."""

from drmgr.engines.sqlserver import statements
from drmgr.engines.sqlserver.connection import Endpoint, opened, told
from drmgr.interfaces import Clock
from drmgr.model import CheckResult, CheckStatus, Level, Text

SUMMARY = 8989
"""The number of CHECKDB's last line: what it found in all. Without it nothing was checked to its end."""

WORST_NOTE = 10


def check_integrity(clock: Clock, endpoint: Endpoint, source: str) -> CheckResult:
    """DBCC CHECKDB. Raises SourceError."""
    started = clock.monotonic()
    with opened(endpoint) as session, told("the database could not be checked"):
        rows = session.rows(statements.check(endpoint.database))
        tables = len(session.rows(statements.TABLES))
    problems = sum(int(row["Level"]) > WORST_NOTE for row in rows)
    finished = any(int(row["Error"]) == SUMMARY for row in rows)
    failures = [f"{problems} problems"] if problems else []
    if not finished or not tables:
        failures.append("the check did not come to its end" if tables else "nothing was checked")
    return CheckResult(
        name="integrity",
        status=CheckStatus.FAIL if failures else CheckStatus.PASS,
        level=Level.INTEGRITY,
        expected={"problems": 0},
        actual={"problems": problems, "tables_checked": tables},
        seconds=clock.monotonic() - started,
        source=source,
        title=Text(zh="数据库引擎完整性（DBCC CHECKDB）", en="Integrity by the database engine (DBCC CHECKDB)"),
        message=", ".join(failures),
    )
