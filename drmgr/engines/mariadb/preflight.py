"""What must hold before a MariaDB backup may start."""

import re
from collections.abc import Sequence

import pymysql

from drmgr.engines.mariadb.connection import Session, code_of, quoted, run, told
from drmgr.engines.mariadb.facts import Scope, newest
from drmgr.errors import PreflightError

OLDEST = (10, 4)
MOST_NAMES = 5

RIGHTS = ("SELECT", "SHOW VIEW", "TRIGGER", "EVENT", "RELOAD", "PROCESS")

GRANTED = """
SELECT privilege_type FROM information_schema.user_privileges
WHERE grantee = CONCAT('\\'', SUBSTRING_INDEX(CURRENT_USER(), '@', 1), '\\'@\\'', SUBSTRING_INDEX(CURRENT_USER(), '@', -1), '\\'')
"""

TABLES = """
SELECT table_name, engine, table_type FROM information_schema.tables
WHERE table_schema = %s AND table_type IN ('BASE TABLE', 'SYSTEM VERSIONED') ORDER BY table_name"""

VIEWS = "SELECT table_name FROM information_schema.views WHERE table_schema = %s ORDER BY table_name"

BROKEN_VIEW = frozenset({1356, 1449, 1146, 1054})
"""What a view answers that refers to a table, column, function or account that is not there."""


PHYSICAL_RIGHTS = (*RIGHTS, "LOCK TABLES")


def check_server(session: Session, database: str, scope: Scope, *, physical: bool = False) -> None:
    """Raises PreflightError with the first thing that stands against a backup."""
    with told("the server could not be looked at", PreflightError):
        ((version,),) = run(session, "SELECT VERSION()")
        refuse_version(str(version))
        _check_rights(session, PHYSICAL_RIGHTS if physical else RIGHTS)
        _check_tables(session, database)
        _refuse(_broken_views(session, database), "views refer to what is not there", "drop or mend them")
        for table, column in scope.newest:
            newest(session, database, table, column, zone=scope.zone, error=PreflightError)


def refuse_version(version: str) -> None:
    """Raises PreflightError for MySQL and for a MariaDB that cannot hold commits back for a moment."""
    found = re.match(r"(?:5\.5\.5-)?(\d+)\.(\d+)", version)
    if "mariadb" not in version.lower() or found is None:
        raise PreflightError(
            f"this server is not MariaDB: it calls itself {version}",
            hint="MySQL lacks the statements by which drmgr opens one view, and was never run with drmgr; see docs/mariadb.md",
        )
    if (int(found[1]), int(found[2])) < OLDEST:
        raise PreflightError(
            f"MariaDB {found[1]}.{found[2]} is too old: BACKUP STAGE came with {OLDEST[0]}.{OLDEST[1]}",
            hint="upgrade the server",
        )


def _check_rights(session: Session, rights: Sequence[str]) -> None:
    granted = {str(name) for (name,) in run(session, GRANTED)}
    missing = [right for right in rights if right not in granted]
    if missing:
        raise PreflightError(
            f"drmgr's account lacks global rights: {', '.join(missing)}",
            hint=f"GRANT {', '.join(rights)} ON *.* to it; none of them can change data",
        )


def _check_tables(session: Session, database: str) -> None:
    tables = run(session, TABLES, database)
    if not tables:
        raise PreflightError(
            f"the database {database} has no tables",
            hint="is this the right database? if it was emptied by mistake, restore the last recovery point",
        )
    _refuse(
        [(name,) for name, engine, kind in tables if kind == "BASE TABLE" and str(engine).lower() != "innodb"],
        "tables know no transactions, so no view of them can be held",
        "ALTER TABLE … ENGINE=InnoDB, or move them out of this database",
    )
    _refuse(
        [(name,) for name, _, kind in tables if kind == "SYSTEM VERSIONED"],
        "tables are system-versioned, and a dump would lose their history",
        "keep the history in a table of its own",
    )


def _broken_views(session: Session, database: str) -> list[tuple[str]]:
    """Those on which a dump would stop."""
    broken = []
    for (name,) in run(session, VIEWS, database):
        try:
            run(session, f"SHOW COLUMNS FROM {quoted(database, name)}")
        except pymysql.Error as failure:
            if code_of(failure) not in BROKEN_VIEW:
                raise
            broken.append((str(name),))
    return broken


def _refuse(rows: Sequence[tuple[object, ...]], what: str, hint: str) -> None:
    if rows:
        names = ", ".join(str(row[0]) for row in rows[:MOST_NAMES])
        more = f" and {len(rows) - MOST_NAMES} more" if len(rows) > MOST_NAMES else ""
        raise PreflightError(f"{len(rows)} {what}: {names}{more}", hint=hint)
