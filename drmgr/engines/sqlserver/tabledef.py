"""What a table of SQL Server is made of, as its catalog tells it, and what of that a table beside it gets."""

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Final

from drmgr.engines.sqlserver import tablesql
from drmgr.engines.sqlserver.encode import Column, is_known
from drmgr.engines.sqlserver.facts import ENCRYPTION_TOLD
from drmgr.system.mssql import Row, Session
from drmgr.system.mssql_names import bracketed

ROW_VERSION: Final = "timestamp"
"""The server numbers every change with one, and takes none from anybody."""

_IN_TWO_BYTES: Final = frozenset({"nchar", "nvarchar"})
_WITH_LENGTH: Final = frozenset({"char", "varchar", "binary", "varbinary"}) | _IN_TWO_BYTES
_WITH_SCALE: Final = frozenset({"time", "datetime2", "datetimeoffset"})
_EXACT: Final = frozenset({"decimal", "numeric"})
_DRAWING: Final = re.compile(r"\bNEXT\s+VALUE\s+FOR\b", re.IGNORECASE)


@dataclass(frozen=True)
class ColumnDefinition:
    """One column. ``word`` is its type in full; ``computed`` the expression it is made of.

    ``refused`` says why it cannot be laid; empty when it can. ``comment`` and ``default`` None: it has none.
    """

    stored: Column
    word: str
    nullable: bool
    collation: str | None = None
    identity: tuple[str, str] | None = None
    default: str | None = None
    computed: str | None = None
    persisted: bool = False
    comment: str | None = None
    refused: str = ""

    @property
    def name(self) -> str:
        return self.stored.name


@dataclass(frozen=True)
class Index:
    """``columns`` are (name, whether it descends), ``included`` those that it only carries along."""

    name: str
    unique: bool
    primary: bool
    clustered: bool
    columns: tuple[tuple[str, bool], ...]
    included: tuple[str, ...]
    condition: str | None


@dataclass(frozen=True)
class Definition:
    """All of a table; ``others`` are counts of what belongs to it and does not come along, by name."""

    columns: tuple[ColumnDefinition, ...]
    indexes: tuple[Index, ...]
    comment: str | None
    others: tuple[tuple[str, int], ...]

    @property
    def stored(self) -> list[Column]:
        """As the fingerprints take them."""
        return [column.stored for column in self.columns]

    @property
    def key(self) -> tuple[str, ...]:
        return next((tuple(name for name, _ in index.columns) for index in self.indexes if index.primary), ())

    @property
    def words(self) -> dict[str, str]:
        return {column.name: column.word for column in self.columns}


def read_definition(session: Session, schema: str, table: str, version: int) -> Definition:
    """Raises Complaint."""
    rows = session.rows(tablesql.columns_of(schema, table, tells_encryption=version >= ENCRYPTION_TOLD))
    indexes, unusual = _indexes(session.rows(tablesql.indexes_of(schema, table)))
    rest = session.row(tablesql.rest_of(schema, table))
    others = (
        ("triggers", int(rest["trigger_count"])),
        ("foreign keys", int(rest["foreign_key_count"])),
        ("check constraints", int(rest["check_count"])),
        ("indexes that are disabled or no B-trees", unusual),
    )
    return Definition(tuple(map(_column, rows)), indexes, rest["comment"], others)


def beside(definition: Definition) -> tuple[Definition, tuple[str, ...]]:
    """What the laid table gets, and what stays out."""
    columns, left_out = [], []
    for column in definition.columns:
        laid = column
        if column.default is not None and _DRAWING.search(column.default):
            left_out.append(f"default of {column.name}, which draws from a sequence")
            laid = replace(laid, default=None)
        if column.stored.kind == ROW_VERSION:
            left_out.append(f"numbering of {column.name}: its row versions of then are kept as binary(8)")
            laid = replace(laid, word="binary(8)")
        columns.append(laid)
    left_out += [f"{count} {kind}" for kind, count in definition.others if count]
    return replace(definition, columns=tuple(columns)), tuple(left_out)


def table_text(schema: str, name: str, definition: Definition) -> str:
    """The statement that makes such a table; keys and indexes come when it has its rows."""
    columns = ", ".join(map(_column_text, definition.columns))
    return f"/* drmgr: create table */ CREATE TABLE {bracketed(schema, name)} ({columns})"


def index_text(schema: str, name: str, index: Index) -> str:
    """The statement that gives a table that index, or its primary key."""
    table, kind = bracketed(schema, name), "CLUSTERED" if index.clustered else "NONCLUSTERED"
    columns = ", ".join(f"{bracketed(column)} {'DESC' if descends else 'ASC'}" for column, descends in index.columns)
    if index.primary:
        return f"/* drmgr: primary key */ ALTER TABLE {table} ADD PRIMARY KEY {kind} ({columns})"
    unique = "UNIQUE " if index.unique else ""
    included = f" INCLUDE ({', '.join(map(bracketed, index.included))})" if index.included else ""
    where = "" if index.condition is None else f" WHERE {index.condition}"
    return (
        f"/* drmgr: create index */ CREATE {unique}{kind} INDEX {bracketed(index.name)} ON {table} ({columns})"
        f"{included}{where}"
    )


def _column_text(column: ColumnDefinition) -> str:
    name, needed = bracketed(column.name), "" if column.nullable else " NOT NULL"
    if column.computed is not None:
        return f"{name} AS {column.computed}" + (f" PERSISTED{needed}" if column.persisted else "")
    collation = "" if column.collation is None else f" COLLATE {column.collation}"
    numbered = "" if column.identity is None else f" IDENTITY({', '.join(column.identity)})"
    default = "" if column.default is None else f" DEFAULT {column.default}"
    return f"{name} {column.word}{collation}{numbered}{needed or ' NULL'}{default}"


def outline(definition: Definition) -> Iterator[object]:
    """What must be the same once the table is laid; texts of expressions are the server's to write as it likes."""
    for column in definition.columns:
        has = (column.default is not None, column.computed is not None, column.persisted)
        yield column.name, column.word, column.nullable, column.collation, column.identity, has, column.comment
    for index in sorted(definition.indexes, key=lambda index: (not index.primary, index.name)):
        # the server names the primary key itself
        name = "" if index.primary else index.name
        yield name, index.unique, index.clustered, index.columns, index.included, index.condition is not None
    yield definition.comment


def _column(row: Row) -> ColumnDefinition:
    kind = str(row["type_name"])
    stored = Column(
        name=row["column_name"],
        kind=kind,
        length=int(row["max_length"]),
        derived=row["computed_definition"] is not None or bool(row["is_column_set"]),
        encrypted=bool(row["is_encrypted"]),
    )
    identity = None if row["identity_seed"] is None else (str(row["identity_seed"]), str(row["identity_increment"]))
    return ColumnDefinition(
        stored,
        _word(kind, row),
        nullable=bool(row["is_nullable"]),
        collation=row["collation_name"],
        identity=identity,
        default=row["default_definition"],
        computed=row["computed_definition"],
        persisted=bool(row["is_persisted"]),
        comment=row["comment"],
        refused=_why_not(kind, row),
    )


def _word(kind: str, row: Row) -> str:
    length = int(row["max_length"])
    if kind in _WITH_LENGTH:
        size = length // 2 if kind in _IN_TWO_BYTES else length
        return f"{kind}({'max' if length == -1 else size})"
    if kind in _EXACT:
        return f"{kind}({int(row['precision_digits'])}, {int(row['scale_digits'])})"
    return f"{kind}({int(row['scale_digits'])})" if kind in _WITH_SCALE else kind


def _why_not(kind: str, row: Row) -> str:
    if row["is_column_set"]:
        return "a column set"
    if row["is_encrypted"]:
        return "encrypted by its programs"
    if row["is_masked"]:
        return "masked, and would not be so beside"
    if row["computed_definition"] is None and not is_known(kind):
        return f"of the type {kind}"
    return "bound to an XML schema" if row["xml_collection_id"] else ""


_CLUSTERED, _B_TREES = 1, (1, 2)


def _indexes(rows: Sequence[Row]) -> tuple[tuple[Index, ...], int]:
    """Those that can be made again, and how many cannot."""
    found: dict[str, list[Row]] = {}
    for row in rows:
        found.setdefault(row["index_name"], []).append(row)
    usual = {
        name: parts
        for name, parts in found.items()
        if int(parts[0]["type_number"]) in _B_TREES and not parts[0]["is_disabled"]
    }
    return tuple(_index(name, parts) for name, parts in usual.items()), len(found) - len(usual)


def _index(name: str, parts: Sequence[Row]) -> Index:
    first = parts[0]
    return Index(
        name,
        unique=bool(first["is_unique"]),
        primary=bool(first["is_primary_key"]),
        clustered=int(first["type_number"]) == _CLUSTERED,
        columns=tuple((part["column_name"], bool(part["is_descending_key"])) for part in parts if part["key_ordinal"]),
        # a partitioning column stands in the list, and is neither
        included=tuple(part["column_name"] for part in parts if part["is_included_column"]),
        condition=first["filter_definition"],
    )
