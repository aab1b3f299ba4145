"""A row as one text, in the server's own SQL: equal for equal rows, different for different ones."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from drmgr.system.mssql_names import bracketed

HASHED_WITHOUT_LIMIT = 13
"""From SQL Server 2016 on HASHBYTES takes inputs of any length; before it, 8000 bytes."""

LIMIT = 8000

_PLAIN = frozenset({"bigint", "int", "smallint", "tinyint", "bit", "decimal", "numeric"})
_MONEY = frozenset({"money", "smallmoney"})
_TIMES = frozenset({"date", "time", "datetime", "datetime2", "smalldatetime", "datetimeoffset"})
_RAW = frozenset({"float", "real", "timestamp", "uniqueidentifier"})
_TEXTS = frozenset({"char", "varchar", "nchar", "nvarchar"})
_BYTES = frozenset({"binary", "varbinary", "image", "hierarchyid", "geometry", "geography"})
_OLD_TEXTS: Mapping[str, str] = {"text": "varchar(max)", "ntext": "nvarchar(max)", "xml": "nvarchar(max)"}
_ENDLESS = frozenset({"text", "ntext", "xml", "image", "geometry", "geography", "hierarchyid"})


@dataclass(frozen=True)
class Column:
    """One column of a table. ``length`` in bytes, -1 for no limit; ``derived`` is computed from others by the server."""

    name: str
    kind: str
    length: int
    derived: bool = False
    encrypted: bool = False


def row_text(columns: Sequence[Column], version: int) -> str | None:
    """The expression; None when this server cannot hash such a table, which then can only be counted."""
    stored = [column for column in columns if not column.derived]
    if not stored or any(column.encrypted or not is_known(column.kind) for column in stored):
        return None
    if version < HASHED_WITHOUT_LIMIT and (any(_endless(column) for column in stored) or len(stored) * 80 > LIMIT):
        return None
    values = " + ".join(f"COALESCE('V' + {_encoded(column)} + ',', 'N,')" for column in stored)
    # of unlimited length from the first character on, or the server would cut it at 8000
    return f"CONVERT(varchar(max), '') + {values}"


def short_form(column: Column) -> str | None:
    """The value as a short text, with floats, GUIDs and row versions as their bytes in hex; None for what can be long."""
    name, kind = bracketed(column.name), column.kind
    if kind in _PLAIN:
        return f"CONVERT(varchar(50), {name})"
    if kind in _MONEY:
        return f"CONVERT(varchar(50), {name}, 2)"
    if kind in _TIMES:
        return f"CONVERT(varchar(50), {name}, 121)"
    if kind in _RAW:
        return f"CONVERT(varchar(50), CONVERT(varbinary(16), {name}), 2)"
    return None


def is_known(kind: str) -> bool:
    """Whether a value of that type can be told from any other."""
    return kind in _PLAIN | _MONEY | _TIMES | _RAW | _BYTES or is_text(kind)


def is_text(kind: str) -> bool:
    return kind in _TEXTS or kind in _OLD_TEXTS


def _endless(column: Column) -> bool:
    return column.length == -1 or column.kind in _ENDLESS


def _encoded(column: Column) -> str:
    """The value as a text without commas. What can be long, or hold any character, goes in by its hash."""
    short = short_form(column)
    if short is not None:
        return short
    name, kind = bracketed(column.name), column.kind
    value = name if kind in _TEXTS | _BYTES else f"CONVERT({_OLD_TEXTS[kind]}, {name})"
    return f"CONVERT(varchar(64), HASHBYTES('SHA2_256', CONVERT(varbinary(max), {value})), 2)"
