"""All of one MariaDB schema moved into another: tables by RENAME TABLE, all else by the server's own text of it.

What is to be moved is on disk before anything is; so a move that was broken off anywhere is gone on with.
"""

import hashlib
import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import pymysql

from drmgr.engines.mariadb.connection import Session, plain_reason, quoted, run
from drmgr.engines.mariadb.definitions import Definition, drop, make, read_definitions
from drmgr.errors import SourceError
from drmgr.model import Json
from drmgr.system.files import write_atomically

TABLES = (
    "SELECT table_name FROM information_schema.tables WHERE table_schema = %s "
    "AND table_type IN ('BASE TABLE', 'SEQUENCE', 'SYSTEM VERSIONED') ORDER BY table_name"
)
SCHEMA = (
    "SELECT default_character_set_name, default_collation_name FROM information_schema.schemata WHERE schema_name = %s"
)
ROUTINE_RIGHTS = (
    "SELECT User, Host, Routine_name, Routine_type, Proc_priv FROM mysql.procs_priv WHERE Db = %s "
    "ORDER BY User, Host, Routine_name"
)


@dataclass(frozen=True)
class Contents:
    """What a schema held beside its tables when its move began; ``rights`` are those on its routines."""

    charset: str
    collation: str
    definitions: tuple[Definition, ...]
    rights: tuple[tuple[str, str, str, str, str], ...]
    complete: bool = False

    def to_json(self) -> Json:
        return {
            "charset": self.charset,
            "collation": self.collation,
            "definitions": [each.to_json() for each in self.definitions],
            "rights": [list(right) for right in self.rights],
            "complete": self.complete,
        }


class Notes:
    """The contents of moved schemas, in a folder of one restore; each move has a file of its own."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def read(self, old: str, new: str) -> Contents | None:
        try:
            body = json.loads(self._file(old, new).read_bytes())
        except FileNotFoundError:
            return None
        except (OSError, ValueError) as error:
            raise SourceError(f"the notes of the move of {old} to {new} cannot be read") from error
        definitions = tuple(Definition(**each) for each in body["definitions"])
        rights = tuple(tuple(map(str, right)) for right in body["rights"])
        return Contents(body["charset"], body["collation"], definitions, rights, body["complete"])  # type: ignore[arg-type]

    def write(self, old: str, new: str, contents: Contents) -> None:
        content = json.dumps(contents.to_json(), ensure_ascii=False).encode("utf-8", errors="surrogatepass")
        try:
            write_atomically(self._file(old, new), content)
        except OSError as error:
            raise SourceError(f"the notes of the move of {old} to {new} cannot be written: {error.strerror}") from error

    def forget(self, old: str, new: str) -> None:
        try:
            self._file(old, new).unlink(missing_ok=True)
        except OSError as error:
            raise SourceError(f"the notes of the move of {old} to {new} cannot be removed: {error.strerror}") from error

    def _file(self, old: str, new: str) -> Path:
        return self._folder / f"{_hex(old)}-{_hex(new)}.json"


def _hex(schema: str) -> str:
    """A file's name for any schema's."""
    return hashlib.sha256(schema.encode()).hexdigest()[:32]


def look(session: Session, schema: str) -> Contents:
    """Raises pymysql.Error, SourceError."""
    ((charset, collation),) = run(session, SCHEMA, schema)
    rights = tuple(
        (str(user), str(host), str(name), str(kind), str(rights))
        for user, host, name, kind, rights in run(session, ROUTINE_RIGHTS, schema)
    )
    return Contents(str(charset), str(collation), tuple(read_definitions(session, schema)), rights)


def tables(session: Session, schema: str) -> list[str]:
    return [str(name) for (name,) in run(session, TABLES, schema)]


def exists(session: Session, schema: str) -> bool:
    return bool(run(session, SCHEMA, schema))


def carry(session: Session, old: str, new: str, contents: Contents, *, resting: bool) -> None:
    """Moves all from ``old`` to ``new``, or the rest of it. Raises SourceError, pymysql.Error."""
    options = f"CHARACTER SET {contents.charset} COLLATE {contents.collation}"
    run(session, f"CREATE DATABASE IF NOT EXISTS {quoted(new)} {options}")
    run(session, f"ALTER DATABASE {quoted(new)} {options}")
    by_kind = {kind: [each for each in contents.definitions if each.kind == kind] for kind in ORDER}
    for trigger in by_kind["TRIGGER"]:
        drop(session, old, trigger)
    for event in by_kind["EVENT"]:
        drop(session, old, event)
    _rename(session, old, new)
    make(session, new, [each for kind in ORDER for each in by_kind[kind]], resting=resting)
    for kind in ("VIEW", "FUNCTION", "PROCEDURE"):
        for each in by_kind[kind]:
            drop(session, old, each)


ORDER = ("FUNCTION", "PROCEDURE", "VIEW", "TRIGGER", "EVENT")


def _rename(session: Session, old: str, new: str) -> None:
    names = tables(session, old)
    if names:
        run(session, "SET SESSION foreign_key_checks = 0")
        pairs = ", ".join(f"{quoted(old, name)} TO {quoted(new, name)}" for name in names)
        # one statement: MariaDB does all of it or nothing
        run(session, f"RENAME TABLE {pairs}")
        run(session, "SET SESSION foreign_key_checks = 1")


def give_rights(session: Session, schema: str, rights: Sequence[tuple[str, str, str, str, str]]) -> None:
    """Gives the rights on routines that are there: they went with the routines of the same names. Raises SourceError."""
    there = {
        (str(kind), str(name))
        for kind, name in run(
            session,
            "SELECT routine_type, routine_name FROM information_schema.routines WHERE routine_schema = %s",
            schema,
        )
    }
    for user, host, name, kind, kept in rights:
        if (kind, name) not in there:
            continue
        account = f"{quoted(user)}@{quoted(host)}" if host else quoted(user)
        words = [word for word in kept.split(",") if word and word != "Grant"]
        option = " WITH GRANT OPTION" if "Grant" in kept.split(",") else ""
        if words or option:
            what = ", ".join(words) or "USAGE"
            try:
                run(session, f"GRANT {what} ON {kind} {quoted(schema, name)} TO {account}{option}")
            except pymysql.Error as failure:
                raise SourceError(f"the rights on {name} could not be given: {plain_reason(failure.args[0])}") from None
