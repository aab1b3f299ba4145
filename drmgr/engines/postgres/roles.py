"""Brings the roles of a dump to a server: those it lacks are made, those it has stay as they are."""

import re
from collections.abc import Iterable, Iterator
from pathlib import Path

import psycopg

from drmgr.engines.postgres.connection import Session, safe_message
from drmgr.errors import LoadError

_NAME = r'("(?:[^"]|"")+"|[^\s";]+)'
_ROLE = re.compile(rf"(?:CREATE|ALTER) ROLE {_NAME}|COMMENT ON ROLE {_NAME}|GRANT .+? TO {_NAME}", re.DOTALL)
_GRANTOR = re.compile(rf"\s+GRANTED BY {_NAME};\s*$")
_KNOWN = ("CREATE ROLE ", "ALTER ROLE ", "COMMENT ON ROLE ", "GRANT ", "SET ")


def statements(lines: Iterable[str]) -> Iterator[str]:
    """Single statements of a script by pg_dumpall or pg_restore; comments and psql's own commands are left out.

    A statement ends with a semicolon at the end of a line, outside of quotes: the programs write quotes only doubled,
    so counting them is enough.
    """
    statement = ""
    for line in lines:
        if not statement and (not line.strip() or line.startswith(("--", "\\"))):
            continue
        statement += line
        if statement.rstrip().endswith(";") and statement.count("'") % 2 == 0 and statement.count('"') % 2 == 0:
            yield statement.strip()
            statement = ""
    if statement.strip():
        raise LoadError("the dump of the roles ends in the middle of a statement")


def unquoted(name: str) -> str:
    """An identifier as the catalog holds it."""
    return name[1:-1].replace('""', '"') if name.startswith('"') else name


def apply_roles(session: Session, script: Path) -> int:
    """Makes the missing roles in one transaction and gives their number. Raises LoadError.

    Statements go through the protocol one by one, not through psql, so a script cannot run psql's shell commands. Who
    granted a membership is left out: that role need not be able to on this server.
    """
    existing = {row[0] for row in session.execute("SELECT rolname FROM pg_catalog.pg_roles")}
    made = 0
    try:
        with script.open(encoding="utf-8") as lines:
            for statement in statements(lines):
                if not statement.startswith(_KNOWN):
                    raise LoadError("the dump of the roles holds a statement that does not belong there")
                if _role_of(statement) in existing:
                    continue
                session.execute(_GRANTOR.sub(";", statement).encode())
                made += statement.startswith("CREATE ROLE ")
        session.commit()
    except psycopg.Error as failure:
        raise LoadError(f"the roles could not be restored: {safe_message(failure)}") from None
    except (OSError, UnicodeDecodeError) as failure:
        raise LoadError("the dump of the roles cannot be read") from failure
    return made


def _role_of(statement: str) -> str | None:
    match = _ROLE.match(statement)
    return unquoted(next(name for name in match.groups() if name)) if match else None
