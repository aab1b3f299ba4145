"""What is true of a database inside one open view: counts, fingerprints, sequences, definitions."""

# ruff: noqa: S608 - names are quoted by ``quoted``, the rest are constants of this file

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime
from typing import Any
from zoneinfo import ZoneInfo

from drmgr.engines.answers import instant
from drmgr.engines.mariadb.connection import Session, quoted, run
from drmgr.engines.mariadb.structure import read_structure
from drmgr.errors import DrmgrError, SourceError
from drmgr.model import Json

Groups = dict[str, dict[str, Json]]

TABLES = """
SELECT table_name FROM information_schema.tables
WHERE table_schema = %s AND table_type = 'BASE TABLE' ORDER BY table_name"""

COLUMNS = """
SELECT column_name, data_type FROM information_schema.columns
WHERE table_schema = %s AND table_name = %s ORDER BY ordinal_position"""

SEQUENCES = """
SELECT table_name FROM information_schema.tables WHERE table_schema = %s AND table_type = 'SEQUENCE'"""

AUTO_INCREMENTS = """
SELECT table_name, auto_increment FROM information_schema.tables
WHERE table_schema = %s AND auto_increment IS NOT NULL"""

FLOATS = """
SELECT count(*) FROM information_schema.columns c JOIN information_schema.tables t
  ON t.table_schema = c.table_schema AND t.table_name = c.table_name
WHERE c.table_schema = %s AND t.table_type = 'BASE TABLE' AND c.data_type = 'float'"""

EXACT_FLOATS = "exact_floats"
"""Among the limits of facts whose fingerprints see every bit of a FLOAT."""

EXACT = "exact float"
"""Stands for the data type float where all bits are to count."""

TIME_TYPES = ("date", "datetime", "timestamp")

PLAIN = frozenset(
    {
        *("tinyint", "smallint", "mediumint", "int", "bigint", "decimal", "float", "double", "year"),
        *("date", "time", "datetime", "timestamp"),
    }
)
SHORT = frozenset({"char", "varchar", "binary", "varbinary"})
LONG = frozenset({"tinyblob", "blob", "mediumblob", "longblob", "tinytext", "text", "mediumtext", "longtext", "json"})
SHAPES = frozenset(
    {
        *("geometry", "point", "linestring", "polygon"),
        *("multipoint", "multilinestring", "multipolygon", "geometrycollection"),
    }
)


@dataclass(frozen=True)
class Scope:
    """What to look at. ``full`` adds fingerprints of the contents to the counts; ``newest`` are (table, column).

    ``exact``: a FLOAT counts with all its bits. Facts of an older drmgr know only the six digits that the server prints.
    """

    full: bool
    newest: Sequence[tuple[str, str]]
    zone: ZoneInfo
    exact: bool = True


def read_groups(session: Session, database: str, scope: Scope, low: Mapping[str, int] | None = None) -> Groups:
    """All groups that restored data must equal, in the view that ``session`` holds open. Raises SourceError, pymysql.Error.

    ``low`` are the sequences as they were when the view was opened: neither they nor the next value of AUTO_INCREMENT
    know transactions, so what a dump takes of them lies anywhere between then and now.
    """
    high = read_sequences(session, database)
    return {
        "database": read_database(session, database),
        "tables": {
            name: table_facts(session, database, name, full=scope.full, exact=scope.exact)
            for (name,) in run(session, TABLES, database)
        },
        "sequences": _between(low if low is not None else high, high),
        "structure": read_structure(session, database),
        "newest": {
            f"{table}.{column}": _text(newest(session, database, table, column, zone=scope.zone))
            for table, column in scope.newest
        },
        "limits": {
            "float_columns": run(session, FLOATS, database)[0][0],
            **({EXACT_FLOATS: True} if scope.exact else {}),
        },
    }


def read_database(session: Session, database: str) -> dict[str, Json]:
    """The character set and collation of new tables. Raises pymysql.Error."""
    ((charset, collation),) = run(
        session,
        "SELECT default_character_set_name, default_collation_name FROM information_schema.schemata "
        "WHERE schema_name = %s",
        database,
    )
    return {"character_set": charset, "collation": collation}


def are_exact(groups: Mapping[str, Mapping[str, Json]]) -> bool:
    """Whether the fingerprints of these facts see every bit of a FLOAT."""
    return bool(groups.get("limits", {}).get(EXACT_FLOATS))


def table_facts(session: Session, database: str, name: str, *, full: bool, exact: bool = True) -> dict[str, Json]:
    """Its rows, and with ``full`` their fingerprint; ``exact`` as in Scope. Raises SourceError, pymysql.Error."""
    place = quoted(database, name)
    if not full:
        ((count,),) = run(session, f"SELECT COUNT(*) FROM {place}")
        return {"rows": count}
    columns = run(session, COLUMNS, database, name)
    ((count, total, unknown),) = run(session, _fingerprint_query(place, columns, exact=exact))
    if unknown:
        raise SourceError(f"{unknown} rows of table {name} are too long for the server to be fingerprinted")
    return {"rows": count, "fingerprint": f"{int(total):032x}"}


def _fingerprint_query(place: str, columns: Sequence[tuple[Any, ...]], *, exact: bool) -> str:
    """The sum of 64 bits of each row's SHA-256: the same in any order, and not blind to a row that is there twice.

    One sum and not two: the server would make every row's text and hash again for the second.
    """
    return (
        "SELECT COUNT(*), COALESCE(SUM(CAST(CONV(LEFT(q.h, 16), 16, 10) AS UNSIGNED)), 0), COALESCE(SUM(q.h IS NULL), 0) "
        f"FROM (SELECT {row_hash(columns, exact=exact)} AS h FROM {place}) AS q"
    )


def row_hash(columns: Sequence[tuple[Any, ...]], *, exact: bool = True) -> str:
    """The SHA-256 of a row's (name, data type) columns as 64 digits; NULL for a row that is too long for the server."""
    encoded = (_encoded(column, EXACT if kind == "float" and exact else kind) for column, kind in columns)
    return f"SHA2(CONCAT_WS(',', {', '.join(encoded)}), 256)"


def _encoded(column: str, kind: str) -> str:
    """One value so that no two rows run into the same text; NULL is N, which no value is.

    Numbers and times hold no comma; all else has its length before it. Texts count with the bytes of their own character
    set. Long ones go in by their hash: a row that grows over max_allowed_packet would turn to NULL.
    """
    name = quoted(column)
    if kind == EXACT:
        # the text of a FLOAT has six digits, that of the same number as a DOUBLE has all
        return f"COALESCE(CAST({name} AS DOUBLE), 'N')"
    if kind in PLAIN:
        return f"COALESCE({name}, 'N')"
    if kind in SHAPES:
        return f"COALESCE(SHA2(HEX({name}), 256), 'N')"
    if kind in LONG:
        return f"COALESCE(SHA2(CAST({name} AS BINARY), 256), 'N')"
    value = f"CAST({name} AS BINARY)"
    length = f"LENGTH({name})" if kind in SHORT else f"LENGTH({value})"
    return f"COALESCE(CONCAT({length}, ':', {value}), 'N')"


def read_sequences(session: Session, database: str) -> dict[str, int]:
    """The next value of each sequence and of each AUTO_INCREMENT. Raises pymysql.Error."""
    values = {f"{name} (auto_increment)": int(value) for name, value in run(session, AUTO_INCREMENTS, database)}
    for (name,) in run(session, SEQUENCES, database):
        ((value,),) = run(session, f"SELECT next_not_cached_value FROM {quoted(database, name)}")
        values[name] = int(value)
    return values


def _between(low: Mapping[str, int], high: Mapping[str, int]) -> dict[str, Json]:
    ends = {name: sorted((low.get(name, value), value)) for name, value in high.items()}
    return {name: {"low": least, "high": most} for name, (least, most) in ends.items()}


def newest(
    session: Session, database: str, table: str, column: str, *, zone: ZoneInfo, error: type[DrmgrError] = SourceError
) -> datetime | None:
    """The greatest value of a date or time column, with its offset; None without rows. Raises ``error``, pymysql.Error."""
    name = table.rpartition(".")[2]
    kinds = {str(found): str(kind) for found, kind in run(session, COLUMNS, database, name)}
    if kinds.get(column) not in TIME_TYPES:
        raise error(
            f"the newest row of {table}.{column} cannot be had: no such column of dates or times",
            hint="mend the source's newest list in the job",
        )
    ((value,),) = run(session, f"SELECT MAX({quoted(column)}) FROM {quoted(database, name)}")
    if not isinstance(value, date):
        return None
    if kinds[column] == "timestamp" and isinstance(value, datetime):
        # the session's zone is UTC
        return value.replace(tzinfo=UTC).astimezone(zone)
    return instant(value, zone)


def _text(value: datetime | None) -> str | None:
    return None if value is None else value.isoformat()
