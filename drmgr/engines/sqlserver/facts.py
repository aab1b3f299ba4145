"""What is true of a SQL Server database, and how near that is to the instant of its backup.

A backup holds the data as they were at one position of the log, and no question can be asked at just that position. So the
facts are taken before and after it: what is the same both times was so in between; what is not is named as moving, and
nothing is claimed of it.
"""

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, date, datetime
from zoneinfo import ZoneInfo

from drmgr.engines.answers import instant, to_json
from drmgr.engines.sqlserver import statements
from drmgr.engines.sqlserver.encode import Column, row_text
from drmgr.errors import DrmgrError, SourceError
from drmgr.model import Facts, Json
from drmgr.system.mssql import Session

Groups = dict[str, dict[str, Json]]

ENCRYPTION_TOLD = 13
MOVING = "moving"
NOT_OF_THE_DATA = ("origin", "recovery", "instant")
"""Groups that tell where a backup came from; a copy never says."""


@dataclass(frozen=True)
class Scope:
    """What to look at. ``full`` adds fingerprints to the counts; ``newest`` are (table, column)."""

    full: bool
    newest: tuple[tuple[str, str], ...]
    zone: ZoneInfo


def version_of(server: Mapping[str, Json]) -> int:
    """The major version: 13 is SQL Server 2016, 16 is 2022."""
    return int(str(server["version"]).split(".")[0])


def read_groups(session: Session, database: Mapping[str, Json], scope: Scope, version: int) -> Groups:
    """All groups that are of the data. Raises Complaint; SourceError for a newest column that is not there."""
    described = _columns(session, version)
    tables = session.rows(statements.TABLES)
    return {
        "database": {
            "collation": database["collation_name"],
            "compatibility_level": database["compatibility_level"],
            "containment": database["containment_desc"],
        },
        "tables": {
            f"{row['schema_name']}.{row['table_name']}": table_facts(
                session,
                row["schema_name"],
                row["table_name"],
                described.get((row["schema_name"], row["table_name"]), ()),
                version if scope.full else None,
            )
            for row in tables
        },
        "structure": {name: _digest(session, statement) for name, statement in statements.STRUCTURE.items()},
        "principals": {
            "users_and_roles": _digest(session, statements.PRINCIPALS),
            "members": _digest(session, statements.MEMBERS),
            "permissions": _digest(session, statements.PERMISSIONS),
        },
        "newest": {
            f"{table}.{column}": _text(newest(session, table, column, zone=scope.zone))
            for table, column in scope.newest
        },
    }


def _columns(session: Session, version: int) -> dict[tuple[str, str], list[Column]]:
    found: dict[tuple[str, str], list[Column]] = {}
    for row in session.rows(statements.columns(tells_encryption=version >= ENCRYPTION_TOLD)):
        column = Column(
            name=row["column_name"],
            kind=str(row["type_name"]),
            length=int(row["max_length"]),
            derived=bool(row["is_computed"]) or bool(row["is_column_set"]),
            encrypted=bool(row["is_encrypted"]),
        )
        found.setdefault((row["schema_name"], row["table_name"]), []).append(column)
    return found


def table_facts(session: Session, schema: str, table: str, columns: Sequence[Column], version: int | None) -> Json:
    """``version`` None: only counted. Raises Complaint."""
    row = None if version is None else row_text(columns, version)
    if row is None:
        return {"rows": int(session.row(statements.count(schema, table))["row_count"])}
    found = session.row(statements.fingerprint(schema, table, row))
    sums = (int(found[name] or 0) % 2**64 for name in ("sum_1", "sum_2"))
    return {"rows": int(found["row_count"]), "fingerprint": "".join(f"{each:016x}" for each in sums)}


def _digest(session: Session, statement: str) -> Json:
    """How many rows the catalog gives, and one hash over all of them. Definitions may hold what a log should not."""
    digest, count = hashlib.sha256(), 0
    for row in session.stream(statement):
        line = json.dumps([to_json(value) for value in row], ensure_ascii=False)
        digest.update(line.encode("utf-8", errors="surrogatepass") + b"\n")
        count += 1
    return {"count": count, "digest": digest.hexdigest()}


_TIME_TYPES = frozenset({"date", "datetime", "datetime2", "smalldatetime", "datetimeoffset"})


def newest(
    session: Session, table: str, column: str, *, zone: ZoneInfo, error: type[DrmgrError] = SourceError
) -> datetime | None:
    """The greatest value of a date or time column; None without rows. What has no zone is the site's own time.

    Raises ``error``, Complaint.
    """
    schema, _, name = table.rpartition(".")
    place = (schema or "dbo", name)
    kinds = session.rows(statements.column_type(*place, column))
    if not kinds or kinds[0]["type_name"] not in _TIME_TYPES:
        raise error(
            f"the newest row of {table}.{column} cannot be had: no such column of dates or times",
            hint="mend the source's newest list in the job",
        )
    value = session.row(statements.newest(*place, column))["newest"]
    return instant(value, zone) if isinstance(value, date) else None


def _text(value: datetime | None) -> str | None:
    return None if value is None else value.isoformat()


def settled(before: Groups, after: Groups) -> Groups:
    """What was the same before and after the backup, and the names of the tables that were not.

    Raises SourceError when the structure changed meanwhile.
    """
    for group in ("structure", "principals", "database"):
        if before[group] != after[group]:
            kinds = [name for name in before[group] if before[group][name] != after[group].get(name)]
            raise SourceError(
                f"the database's {' and '.join(kinds)} changed during the backup",
                hint="run the backup again when nobody changes tables, users or rights",
            )
    groups = dict(after)
    first, second = before["tables"], after["tables"]
    groups["tables"] = {name: item for name, item in second.items() if first.get(name) == item}
    groups[MOVING] = {name: {"there": True} for name in second if name not in groups["tables"]}
    groups["newest"] = {name: item for name, item in after["newest"].items() if before["newest"].get(name) == item}
    return groups


def same_groups(found: Groups, like: Facts) -> Groups:
    """What was found of a copy, in the groups of the facts it is to be compared with."""
    groups, moving = dict(found), like.groups.get(MOVING, {})
    groups[MOVING] = {name: {"there": True} for name in moving if name in found["tables"]}
    groups["tables"] = {name: item for name, item in found["tables"].items() if name not in moving}
    for name in NOT_OF_THE_DATA:
        if name in like.groups:
            groups[name] = dict(like.groups[name])
    return groups


def scope_like(scope: Scope, like: Facts) -> Scope:
    """The scope that those facts were taken with."""
    tables = like.groups.get("tables", {})
    full = any("fingerprint" in item for item in tables.values()) if tables else scope.full
    parted = (name.rpartition(".") for name in like.groups.get("newest", {}))
    return replace(scope, full=full, newest=tuple((table, column) for table, _, column in parted))


def utc(value: datetime) -> datetime:
    """An instant of the server's UTC clock."""
    return value.replace(tzinfo=UTC)
