"""What must hold before a PostgreSQL backup may start."""

# ruff: noqa: S608 - only constants of this file are put together to statements

from collections.abc import Sequence
from typing import LiteralString

from drmgr.engines.postgres.connection import Session, told
from drmgr.errors import PreflightError

OLDEST_MAJOR = 12

_USER = "n.nspname !~ '^pg_' AND n.nspname <> 'information_schema'"

TABLES: LiteralString = f"""
SELECT pg_catalog.count(*) FROM pg_catalog.pg_class c JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
WHERE c.relkind IN ('r', 'p') AND c.relpersistence <> 't' AND {_USER}"""

UNREADABLE: LiteralString = f"""
SELECT pg_catalog.count(*) FILTER (WHERE c.relkind IN ('r', 'p')), pg_catalog.count(*) FILTER (WHERE c.relkind = 'S')
FROM pg_catalog.pg_class c JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
WHERE c.relkind IN ('r', 'p', 'S') AND c.relpersistence <> 't' AND {_USER}
  AND NOT (pg_catalog.has_schema_privilege(n.oid, 'USAGE') AND CASE c.relkind
    WHEN 'S' THEN pg_catalog.has_sequence_privilege(c.oid, 'SELECT')
    ELSE pg_catalog.has_table_privilege(c.oid, 'SELECT') END)"""

GUARDED: LiteralString = f"""
SELECT pg_catalog.count(*) FROM pg_catalog.pg_class c JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
WHERE c.relkind IN ('r', 'p') AND c.relrowsecurity AND {_USER} AND NOT EXISTS (
  SELECT FROM pg_catalog.pg_roles r WHERE r.rolname = current_user AND (r.rolsuper OR r.rolbypassrls))
  AND (c.relforcerowsecurity OR NOT pg_catalog.pg_has_role(c.relowner, 'USAGE'))"""

HAS_TIME: LiteralString = """
SELECT t.typname IN ('date', 'timestamp', 'timestamptz') FROM pg_catalog.pg_attribute a
JOIN pg_catalog.pg_class c ON c.oid = a.attrelid JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
JOIN pg_catalog.pg_type t ON t.oid = a.atttypid
WHERE n.nspname = %s AND c.relname = %s AND a.attname = %s AND NOT a.attisdropped"""


def check_server(session: Session, newest: Sequence[tuple[str, str]]) -> int:
    """Version, rights and the job's own columns; gives the server's major version. Raises PreflightError."""
    major = session.info.server_version // 10000
    if major < OLDEST_MAJOR:
        raise PreflightError(
            f"the server is PostgreSQL {major}, and drmgr needs {OLDEST_MAJOR} or newer", hint="upgrade the server"
        )
    with told("the rights of drmgr's account could not be read", PreflightError):
        _check_not_empty(session)
        _check_readable(session)
        _check_row_security(session)
        for table, column in newest:
            _check_newest(session, table, column)
    return major


def may_read_passwords(session: Session) -> bool:
    """Whether the account may read role passwords, so that roles can be restored with them. Raises psycopg.Error."""
    row = session.execute("SELECT pg_catalog.has_table_privilege('pg_catalog.pg_authid', 'SELECT')").fetchone()
    return bool(row and row[0])


def _check_not_empty(session: Session) -> None:
    """A wrong database name, or a database emptied by mistake, would be backed up as nothing and look well."""
    row = session.execute(TABLES).fetchone()
    assert row is not None
    if not row[0]:
        raise PreflightError(
            f"the database {session.info.dbname} has no tables",
            hint="is this the right database? if it was emptied by mistake, restore the last recovery point",
        )


def _check_readable(session: Session) -> None:
    row = session.execute(UNREADABLE).fetchone()
    assert row is not None
    tables, sequences = row
    if tables or sequences:
        raise PreflightError(
            f"user {session.info.user} may not read {tables} tables and {sequences} sequences of the database",
            hint="grant the role pg_read_all_data (PostgreSQL 14 and newer), or SELECT on all tables and sequences",
        )


def _check_row_security(session: Session) -> None:
    row = session.execute(GUARDED).fetchone()
    assert row is not None
    if row[0]:
        raise PreflightError(
            f"row security hides rows of {row[0]} tables from user {session.info.user}",
            hint="give drmgr's account the attribute BYPASSRLS",
        )


def _check_newest(session: Session, table: str, column: str) -> None:
    schema, _, name = table.rpartition(".")
    row = session.execute(HAS_TIME, (schema or "public", name, column)).fetchone()
    if row is None or not row[0]:
        raise PreflightError(
            f"the job asks for the newest {table}.{column}, and there is no such column of dates or times",
            hint="mend the source's newest list in the job",
        )
