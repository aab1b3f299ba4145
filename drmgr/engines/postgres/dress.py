"""What belongs to a database itself and a load into one of another name leaves out: owner, rights, comment, limit."""

import re
from collections.abc import Iterable, Iterator
from pathlib import Path

import psycopg
from psycopg import sql

from drmgr.engines.postgres.connection import Session, safe_message
from drmgr.engines.postgres.roles import statements
from drmgr.errors import LoadError
from drmgr.system.command import Command, Runner

_NAME = r'(?:"(?:[^"]|"")+"|[^\s";]+)'
_FORMS = (
    re.compile(rf"(ALTER DATABASE )(?P<name>{_NAME})( OWNER TO .*);$", re.DOTALL),
    re.compile(rf"((?:GRANT|REVOKE) [A-Z, ]+ ON DATABASE )(?P<name>{_NAME})( (?:TO|FROM) .*);$", re.DOTALL),
    re.compile(rf"(COMMENT ON DATABASE )(?P<name>{_NAME})( IS .*);$", re.DOTALL),
)
_MADE = re.compile(rf"CREATE DATABASE {_NAME}.* CONNECTION LIMIT = (\d+)", re.DOTALL)


def dress(session: Session, runner: Runner, pg_restore: Path, dump: Path, database: str) -> None:
    """Gives the database what the dump says of the one it was taken of. Raises LoadError."""
    (file,) = sorted(dump.glob("*.dump"))
    argv = (str(pg_restore), "--create", "--schema-only", "--file=-", str(file))
    with runner.start(Command(argv)) as process:
        lines = (line.decode("utf-8", errors="replace") for line in process.lines())
        wanted = list(renamed(statements(lines), database))
    try:
        for statement in wanted:
            session.execute(statement)
    except psycopg.Error as failure:
        raise LoadError(f"the database's owner and rights could not be restored: {safe_message(failure)}") from None


def renamed(script: Iterable[str], database: str) -> Iterator[sql.Composed]:
    """The statements about the database itself, now about one of another name."""
    for statement in script:
        if limit := _MADE.match(statement):
            yield sql.SQL("ALTER DATABASE {} CONNECTION LIMIT {}").format(
                sql.Identifier(database), sql.Literal(int(limit[1]))
            )
        for form in _FORMS:
            if found := form.match(statement):
                # pg_restore wrote both ends, quotes and all
                yield sql.SQL("{}{}{}").format(sql.SQL(found[1]), sql.Identifier(database), sql.SQL(found[3]))
