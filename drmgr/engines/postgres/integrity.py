"""The engine's own proof that its structures are sound."""

import re
from pathlib import Path
from typing import LiteralString

from psycopg import sql

from drmgr.engines.postgres.connection import Endpoint, Session, connect, told
from drmgr.errors import SourceError, ToolError
from drmgr.interfaces import Clock
from drmgr.model import CheckResult, CheckStatus, Level, Text
from drmgr.system.command import Command, Runner

OLDEST_MAJOR = 14
SCHEMA = "drmgr_amcheck"
FOUND_CORRUPTION = 2

INVALID_INDEXES: LiteralString = "SELECT pg_catalog.count(*) FROM pg_catalog.pg_index WHERE NOT indisvalid"

OWNED_SEQUENCES: LiteralString = """
SELECT sn.nspname, sc.relname, s.seqincrement, tn.nspname, tc.relname, a.attname
FROM pg_catalog.pg_sequence s
JOIN pg_catalog.pg_class sc ON sc.oid = s.seqrelid JOIN pg_catalog.pg_namespace sn ON sn.oid = sc.relnamespace
JOIN pg_catalog.pg_depend d ON d.classid = 'pg_catalog.pg_class'::pg_catalog.regclass AND d.objid = s.seqrelid
  AND d.refclassid = 'pg_catalog.pg_class'::pg_catalog.regclass AND d.deptype IN ('a', 'i') AND d.refobjsubid > 0
JOIN pg_catalog.pg_class tc ON tc.oid = d.refobjid JOIN pg_catalog.pg_namespace tn ON tn.oid = tc.relnamespace
JOIN pg_catalog.pg_attribute a ON a.attrelid = tc.oid AND a.attnum = d.refobjsubid
JOIN pg_catalog.pg_type t ON t.oid = a.atttypid AND t.typname IN ('int2', 'int4', 'int8')
WHERE NOT s.seqcycle"""


def check_integrity(runner: Runner, clock: Clock, pg_amcheck: Path, endpoint: Endpoint, source: str) -> CheckResult:
    """pg_amcheck over every table and index, invalid indexes, sequences behind their column. Raises SourceError.

    The extension amcheck is removed again if it was not there before.
    """
    started = clock.monotonic()
    had_it = _has_amcheck(endpoint)
    try:
        corruptions, relations = _amcheck(runner, pg_amcheck, endpoint)
    finally:
        if not had_it:
            _drop_amcheck(endpoint)
    with connect(endpoint) as session, told("the catalogs could not be read"):
        row = session.execute(INVALID_INDEXES).fetchone()
        invalid = row[0] if row else 0
        behind = 0 if corruptions else _sequences_behind(session)
    found = {"corruptions": corruptions, "invalid_indexes": invalid, "sequences_behind": behind}
    failures = [f"{count} {name.replace('_', ' ')}" for name, count in found.items() if count]
    if not relations:
        failures.append("nothing was checked")
    return CheckResult(
        name="integrity",
        status=CheckStatus.FAIL if failures else CheckStatus.PASS,
        level=Level.INTEGRITY,
        expected=dict.fromkeys(found, 0),
        actual={**found, "relations_checked": relations},
        seconds=clock.monotonic() - started,
        source=source,
        title=Text(zh="数据库引擎完整性（pg_amcheck）", en="Integrity by the database engine (pg_amcheck)"),
        message=", ".join(failures),
    )


def refuse_old(major: int) -> None:
    """Raises ToolError for servers that pg_amcheck cannot look through."""
    if major < OLDEST_MAJOR:
        raise ToolError(
            f"the integrity of PostgreSQL {major} cannot be proven: pg_amcheck came with version {OLDEST_MAJOR}",
            hint="upgrade the server, or leave integrity out of the drill's level",
        )


def _amcheck(runner: Runner, pg_amcheck: Path, endpoint: Endpoint) -> tuple[int, int]:
    """Findings, and relations looked through."""
    findings = 0

    def count(line: bytes) -> None:
        nonlocal findings
        # a finding's headline begins at the margin, its explanation is indented and may quote data
        findings += bool(line.strip()) and not line[:1].isspace()

    argv = (
        *(str(pg_amcheck), "--no-password", f"--install-missing={SCHEMA}", "--heapallindexed", "--parent-check"),
        *("--jobs=2", "--progress", endpoint.database),
    )
    done = runner.run_lines(Command(argv, endpoint.environment()), count)
    if done.code not in (0, FOUND_CORRUPTION):
        raise SourceError("pg_amcheck could not look through the database", hint="look into the instance's log")
    checked = re.findall(r"(\d+)/\d+ relations", done.stderr)
    return max(findings, int(done.code == FOUND_CORRUPTION)), int(checked[-1]) if checked else 0


def _has_amcheck(endpoint: Endpoint) -> bool:
    with connect(endpoint) as session, told("the extensions could not be read"):
        row = session.execute("SELECT FROM pg_catalog.pg_extension WHERE extname = 'amcheck'").fetchone()
        if row is None:
            session.execute(sql.SQL("CREATE SCHEMA IF NOT EXISTS {}").format(sql.Identifier(SCHEMA)))
        return row is not None


def _drop_amcheck(endpoint: Endpoint) -> None:
    with connect(endpoint) as session, told("the extension amcheck could not be removed again"):
        session.execute("DROP EXTENSION IF EXISTS amcheck")
        session.execute(sql.SQL("DROP SCHEMA IF EXISTS {}").format(sql.Identifier(SCHEMA)))


def _sequences_behind(session: Session) -> int:
    behind = 0
    for schema, name, increment, table_schema, table, column in session.execute(OWNED_SEQUENCES).fetchall():
        query = sql.SQL("SELECT s.last_value, s.is_called, (SELECT {}({}) FROM {}) FROM {} AS s").format(
            sql.SQL("max" if increment > 0 else "min"),
            sql.Identifier(column),
            sql.Identifier(table_schema, table),
            sql.Identifier(schema, name),
        )
        row = session.execute(query).fetchone()
        assert row is not None
        last, called, extreme = row
        given = last if called else last - increment
        behind += extreme is not None and (extreme > given if increment > 0 else extreme < given)
    return behind
