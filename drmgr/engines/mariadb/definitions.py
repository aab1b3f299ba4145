"""What a schema holds beside its tables: views, triggers, routines and events, which MariaDB cannot rename.

They are made anew from the server's own text of them, under the settings they were made under. The text names no schema
but its own, and that one not at all, so it means the same tables in another schema.
"""

import re
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass
from typing import Any

import pymysql

from drmgr.engines.mariadb.connection import Session, plain_reason, quoted, run
from drmgr.errors import SourceError
from drmgr.model import Json

CANNOT_YET = frozenset({1146, 1305, 1356})
"""It names a view or routine that is not made yet."""
EXISTS = frozenset({1050, 1304, 1359, 1537})
GONE = frozenset({1051, 1305, 1360, 1539, 4092, 1146, 1347})


@dataclass(frozen=True)
class Definition:
    """One object as the server tells it; empty settings are those of the session."""

    kind: str
    name: str
    text: str
    sql_mode: str = ""
    charset: str = ""
    collation: str = ""
    zone: str = ""

    def to_json(self) -> dict[str, Json]:
        return asdict(self)

    @property
    def resting(self) -> str:
        """The text of an event that does not run: what is set aside is not to be changed any more."""
        return re.sub(r"(ON COMPLETION (?:NOT )?PRESERVE) ENABLE", r"\1 DISABLE", self.text, count=1)


_LISTS: Mapping[str, str] = {
    "FUNCTION": "SELECT routine_name FROM information_schema.routines WHERE routine_schema = %s AND routine_type = 'FUNCTION'",
    "PROCEDURE": "SELECT routine_name FROM information_schema.routines WHERE routine_schema = %s AND routine_type = 'PROCEDURE'",
    "VIEW": "SELECT table_name FROM information_schema.views WHERE table_schema = %s",
    # in the order in which they fire
    "TRIGGER": "SELECT trigger_name FROM information_schema.triggers WHERE trigger_schema = %s "
    "ORDER BY event_object_table, event_manipulation, action_timing, action_order",
    "EVENT": "SELECT event_name FROM information_schema.events WHERE event_schema = %s",
}

_TEXTS: Mapping[str, str] = {
    "FUNCTION": "Create Function",
    "PROCEDURE": "Create Procedure",
    "VIEW": "Create View",
    "TRIGGER": "SQL Original Statement",
    "EVENT": "Create Event",
}
"""The column of SHOW CREATE that holds it."""


def read_definitions(session: Session, schema: str) -> list[Definition]:
    """All of the schema, which is made the session's own. Raises pymysql.Error, SourceError for one it may not see."""
    run(session, f"USE {quoted(schema)}")
    return [
        _read(session, kind, schema, str(name))
        for kind, query in _LISTS.items()
        for (name,) in run(session, query, schema)
    ]


def _read(session: Session, kind: str, schema: str, name: str) -> Definition:
    with session.cursor(pymysql.cursors.DictCursor) as cursor:
        cursor.execute(f"SHOW CREATE {kind} {quoted(schema, name)}")
        row: Mapping[str, Any] = cursor.fetchone() or {}
    text = row.get(_TEXTS[kind])
    if not text:
        raise SourceError(f"the account may not see the definition of the {kind.lower()} {name}")
    return Definition(
        kind,
        name,
        str(text),
        str(row.get("sql_mode", "")),
        str(row.get("character_set_client", "")),
        str(row.get("collation_connection", "")),
        str(row.get("time_zone", "")) if kind == "EVENT" else "",
    )


def make(session: Session, schema: str, definitions: Iterable[Definition], *, resting: bool) -> None:
    """Makes those that are not there yet; each waits for what it needs. Raises SourceError, pymysql.Error."""
    run(session, f"USE {quoted(schema)}")
    waiting = list(definitions)
    while waiting:
        left = [each for each in waiting if not _made(session, each, resting=resting)]
        if len(left) == len(waiting):
            # once more, to hear why
            _create(session, left[0], resting=resting)
        waiting = left


def _made(session: Session, definition: Definition, *, resting: bool) -> bool:
    try:
        _create(session, definition, resting=resting)
    except pymysql.Error as failure:
        code = failure.args[0]
        if code in CANNOT_YET:
            return False
        if code not in EXISTS:
            what = f"the {definition.kind.lower()} {definition.name} could not be made"
            raise SourceError(f"{what}: {plain_reason(code)}") from None
    return True


def _create(session: Session, definition: Definition, *, resting: bool) -> None:
    text = definition.resting if resting and definition.kind == "EVENT" else definition.text
    run(session, "SET SESSION sql_mode = %s, time_zone = %s", definition.sql_mode, definition.zone or "+00:00")
    if definition.charset:
        # the bytes we send are utf8mb4; another character set can only be told for text that is the same in both
        charset = definition.charset if text.isascii() else "utf8mb4"
        run(session, "SET character_set_client = %s, collation_connection = %s", charset, definition.collation)
    try:
        run(session, text)
    finally:
        run(session, "SET NAMES utf8mb4")
        run(session, "SET SESSION sql_mode = '', time_zone = '+00:00'")


def drop(session: Session, schema: str, definition: Definition) -> None:
    """Raises pymysql.Error."""
    try:
        run(session, f"DROP {definition.kind} {quoted(schema, definition.name)}")
    except pymysql.Error as failure:
        if failure.args[0] not in GONE:
            raise
