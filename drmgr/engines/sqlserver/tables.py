"""Lays one table of a restored SQL Server beside the live one, and reads both so that they can be compared."""

# ruff: noqa: S608 - statements for a person to read, with names quoted by ``bracketed``

import secrets
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import replace
from typing import Final

from drmgr.engines.laying import NOTHING_LEFT, free_name, refuse_other_rows, sealed_proof
from drmgr.engines.sqlserver import statements, tablesql
from drmgr.engines.sqlserver.connection import Endpoint, endpoint_of, opened, told
from drmgr.engines.sqlserver.encode import Column, is_text, row_text
from drmgr.engines.sqlserver.engine import SqlServerEngine
from drmgr.engines.sqlserver.facts import table_facts, version_of
from drmgr.engines.sqlserver.rowcopy import TableAt, copy_rows
from drmgr.engines.sqlserver.tabledef import (
    ROW_VERSION,
    Definition,
    beside,
    index_text,
    outline,
    read_definition,
    table_text,
)
from drmgr.errors import DrmgrError, LoadError, SourceError, UsageError
from drmgr.interfaces import Progress
from drmgr.model import Facts, Instance, LaidTable, TableProof, TableShape, TableStatements
from drmgr.system.mssql import Complaint, Session
from drmgr.system.mssql_names import bracketed

NAME_CHARACTERS: Final = 128
LAYING: Final = "drmgr_laying_"
"""How a table is called until its rows are proven. One transaction around it all would keep everybody from the catalog for
as long as the rows take. What was killed leaves such a table, whose lock nobody holds any more."""

SNAPSHOTS_ALLOWED: Final = 1
_KINDS: Final = {"V": "a view", "SN": "a synonym", "SO": "a sequence"}


class SqlServerTables:
    """See interfaces.TableEngine. One view is had where the database allows snapshots, in its settings."""

    def __init__(self, engine: SqlServerEngine) -> None:
        self._engine = engine

    def table(self, of: Instance, name: str) -> TableShape | None:
        with self._reading(of, f"the table {name} could not be looked up") as session:
            found = session.rows(tablesql.find(name))
            if not found:
                return None
            if len(found) > 1:
                names = ", ".join(f"{row['schema_name']}.{row['table_name']}" for row in found)
                raise UsageError(f"several tables have the name {name}", hint=f"say which: {names}")
            schema, table, kind = found[0]["schema_name"], found[0]["table_name"], found[0]["kind"]
            if kind in _KINDS:
                raise UsageError(f"{name} is {_KINDS[kind]}, and only tables have rows of their own")
            definition = _definition(session, schema, table)
            label, size = f"{schema}.{table}", int(found[0]["byte_count"])
            return TableShape(schema, table, definition.words, definition.key, (label,), size)

    def free_name(self, live: Instance, beside: TableShape, ending: str) -> str:
        with self._reading(live, "a free name could not be looked for") as session:

            def taken(name: str) -> bool:
                return _object(session, beside.schema, name) is not None

            return free_name(beside.name, ending, taken, most=NAME_CHARACTERS, size=_characters)

    def lay(self, scratch: Instance, table: TableShape, live: Instance, name: str, progress: Progress) -> LaidTable:
        origin, place = endpoint_of(scratch), endpoint_of(live)
        laid = replace(table, name=name, parts=(f"{table.schema}.{name}",))
        laying = LAYING + secrets.token_hex(8)
        what = f"the table {table.label} could not be laid"
        with told(what, LoadError, hint=NOTHING_LEFT), opened(origin, LoadError) as source:
            definition = _definition(source, table.schema, table.name)
            _refuse_columns(table, definition)
            wanted, left_out = beside(definition)
            rows = _proof(source, table, definition.stored, LoadError)
            with _all_or_nothing(place, laid, laying) as made, opened(place, LoadError) as target:
                _begin(target, laid, laying)
                made.append(_create(target, table.schema, laying, wanted))
                there, here = _place(source, table), _place(target, replace(laid, name=laying))
                copy_rows(there, here, wanted.columns, progress, rows.rows)
                progress(0.6, "indexes")
                _finish(target, table.schema, laying, wanted)
                progress(0.85, "proof")
                proof = _proof(target, replace(laid, name=laying), definition.stored, LoadError)
                refuse_other_rows(table, rows, proof)
                _refuse_unlike(target, table, laying, wanted)
                target.act(tablesql.rename(table.schema, laying, name))
                if _object(target, table.schema, name) not in made:
                    raise LoadError(f"the server did not give the table its name {name}", hint=NOTHING_LEFT)
        progress(1.0, "laid")
        return LaidTable(laid, proof, left_out)

    def drop(self, live: Instance, laid: LaidTable) -> None:
        with opened(endpoint_of(live)) as session, told(f"the table {laid.shape.label} could not be dropped"):
            session.act(tablesql.drop_table(laid.shape.schema, laid.shape.name))

    def proof(self, of: Instance, table: TableShape) -> TableProof:
        with self._reading(of, f"the rows of {table.label} could not be counted") as session:
            return _proof(session, table, _columns(session, table), SourceError)

    def expected(self, facts: Facts, table: TableShape) -> TableProof | None:
        return sealed_proof(facts, table.label)

    def digests(
        self, of: Instance, table: TableShape, columns: Sequence[str], key: Sequence[str]
    ) -> Iterator[tuple[bytes, bytes]]:
        with self._reading(of, f"the rows of {table.label} could not be read") as session:
            described = {column.name: column for column in _columns(session, table)}
            if not described.keys() >= {*columns, *key}:
                raise SourceError(f"the columns of {table.label} have changed meanwhile", hint="call it again")
            chosen = [described[name] for name in columns]
            # a key may be computed from other columns
            by = [replace(described[name], derived=False) for name in key] or chosen
            row, key_row = (row_text(each, _version(session)) for each in (chosen, by))
            if row is None or key_row is None:
                raise _unproven(table, SourceError)
            asked = tablesql.digests(table.schema, table.name, key_row, row)
            yield from ((first, second) for first, second in session.stream(asked))

    def statements(
        self, live: TableShape, laid: TableShape, columns: Sequence[str], key: Sequence[str]
    ) -> TableStatements:
        now, before = bracketed(live.schema, live.name), bracketed(laid.schema, laid.name)
        kinds = {name: laid.columns[name].partition("(")[0] for name in columns}
        if not key:
            names = ", ".join(_shown(name, kinds[name]) for name in columns)
            equal = ", ".join(_exact(bracketed(name), kinds[name]) for name in columns)
            # the language has no EXCEPT ALL: rows that are equal are numbered
            copy = f"ROW_NUMBER() OVER (PARTITION BY {equal} ORDER BY (SELECT NULL)) AS [copy]"
            one, other = (f"SELECT {names}, {copy} FROM {side}" for side in (now, before))
            look = {"added": f"{one} EXCEPT {other};", "removed": f"{other} EXCEPT {one};"}
        else:
            same = " AND ".join(f"l.{bracketed(column)} = d.{bracketed(column)}" for column in key)
            old, new = (
                ", ".join(_exact(f"{side}.{bracketed(name)}", kinds[name]) for name in columns) for side in "dl"
            )
            look = {
                "added": f"SELECT l.* FROM {now} AS l WHERE NOT EXISTS (SELECT 1 FROM {before} AS d WHERE {same});",
                "removed": f"SELECT d.* FROM {before} AS d WHERE NOT EXISTS (SELECT 1 FROM {now} AS l WHERE {same});",
                "changed": f"SELECT d.*, l.* FROM {before} AS d JOIN {now} AS l ON {same} "
                f"WHERE NOT EXISTS (SELECT {old} INTERSECT SELECT {new});",
            }
        return TableStatements(look, f"DROP TABLE {before};")

    def into_place(self, scratch: Instance, table: TableShape, laid: TableShape) -> tuple[str, ...]:
        with self._reading(scratch, f"how {table.label} was made could not be read") as session:
            _, left_out = beside(_definition(session, table.schema, table.name))
        again = tuple(f"-- make again, as a script of the restored database has it: {each}" for each in left_out)
        rights = "-- give its rights again: sys.database_permissions of the restored database names them"
        return (tablesql.rename(laid.schema, laid.name, table.name) + ";", *again, rights)

    @contextmanager
    def _reading(self, of: Instance, what: str) -> Iterator[Session]:
        with opened(endpoint_of(of)) as session, told(what):
            if session.row(tablesql.SNAPSHOTS)["snapshot_state"] == SNAPSHOTS_ALLOWED:
                session.act(tablesql.ONE_VIEW)
            yield session


def _shown(column: str, kind: str) -> str:
    """A value to look at. Texts are compared letter by letter, not as the collation would."""
    name = bracketed(column)
    if is_text(kind):
        return f"CONVERT(nvarchar(max), {name}) COLLATE Latin1_General_100_BIN2 AS {name}"
    exact = _exact(name, kind)
    return name if exact == name else f"{exact} AS {name}"


_INCOMPARABLE: Final = frozenset({"image", "geometry", "geography"})


def _exact(value: str, kind: str) -> str:
    """A value as the bytes that it is, where the server compares it in another way or not at all."""
    if is_text(kind):
        return f"CONVERT(varbinary(max), CONVERT(nvarchar(max), {value}))"
    if kind == ROW_VERSION:
        return f"CONVERT(binary(8), {value})"
    return f"CONVERT(varbinary(max), {value})" if kind in _INCOMPARABLE else value


def _characters(text: str) -> int:
    return len(text.encode("utf-16-le")) // 2


def _version(session: Session) -> int:
    return version_of(session.row(statements.SERVER))


def _definition(session: Session, schema: str, table: str) -> Definition:
    return read_definition(session, schema, table, _version(session))


def _place(session: Session, table: TableShape) -> TableAt:
    return TableAt(session, table.schema, table.name, session.row(tablesql.COLLATION)["collation_name"])


def _object(session: Session, schema: str, name: str) -> int | None:
    found: int | None = session.row(tablesql.object_id(schema, name))["object_id"]
    return found


def _columns(session: Session, table: TableShape) -> list[Column]:
    """Row versions that were laid are plain bytes now, and are still compared as row versions."""
    stored = _definition(session, table.schema, table.name).stored
    return [
        replace(column, kind=ROW_VERSION) if table.columns.get(column.name) == ROW_VERSION else column
        for column in stored
    ]


def _proof(session: Session, table: TableShape, columns: Sequence[Column], error: type[DrmgrError]) -> TableProof:
    found = table_facts(session, table.schema, table.name, columns, _version(session))
    if "fingerprint" not in found:
        raise _unproven(table, error)
    return TableProof(int(found["rows"]), str(found["fingerprint"]))


def _unproven(table: TableShape, error: type[DrmgrError]) -> DrmgrError:
    return error(
        f"the rows of {table.label} cannot be told apart on this server",
        hint="it has a column of a type that is not hashed, or of unlimited length on a server before 2016",
    )


def _refuse_columns(table: TableShape, definition: Definition) -> None:
    refused = [f"{column.name} is {column.refused}" for column in definition.columns if column.refused]
    if refused:
        raise LoadError(
            f"the table {table.label} cannot be laid: {'; '.join(refused)}",
            hint="restore the source with --to scratch, and look at the table there",
        )


def _begin(target: Session, laid: TableShape, laying: str) -> None:
    """Clears what a killed process left: whoever is at it holds the lock of its table's name."""
    for row in target.rows(tablesql.HALF_LAID):
        if target.row(tablesql.is_free(row["table_name"]))["free"]:
            target.act(tablesql.drop_table(row["schema_name"], row["table_name"]))
    if _object(target, laid.schema, laid.name) is not None:
        raise LoadError(f"the name {laid.name} was taken meanwhile", hint=NOTHING_LEFT)
    if target.row(tablesql.hold(laying))["held"] < 0:
        raise LoadError(f"the lock of {laying} could not be had", hint=NOTHING_LEFT)


def _create(target: Session, schema: str, laying: str, wanted: Definition) -> int:
    target.act(table_text(schema, laying, wanted))
    number = _object(target, schema, laying)
    if number is None:
        raise LoadError("the server made no table, and does not say why", hint=NOTHING_LEFT)
    return number


def _finish(target: Session, schema: str, laying: str, wanted: Definition) -> None:
    """Indexes, the clustered one first, and comments."""
    for index in sorted(wanted.indexes, key=lambda index: not index.clustered):
        target.act(index_text(schema, laying, index))
    comments = [(None, wanted.comment), *((column.name, column.comment) for column in wanted.columns)]
    for column, comment in comments:
        if comment is not None:
            target.act(tablesql.describe(schema, laying, column, comment))


def _refuse_unlike(target: Session, table: TableShape, laying: str, wanted: Definition) -> None:
    """Raises LoadError unless what was made is what was asked for: a statement that does nothing may say nothing."""
    if list(outline(_definition(target, table.schema, laying))) != list(outline(wanted)):
        raise LoadError(
            f"the columns or indexes of {table.label} are not the same once they are laid", hint=NOTHING_LEFT
        )


@contextmanager
def _all_or_nothing(place: Endpoint, laid: TableShape, laying: str) -> Iterator[list[int]]:
    """What goes wrong inside ends the session of the block, and takes away the table that it made, by either name."""
    made: list[int] = []
    try:
        yield made
    except BaseException:
        # a server that is gone keeps what the next call clears away
        with suppress(DrmgrError, Complaint), opened(place) as session:
            session.act(tablesql.drop_table(laid.schema, laying))
            # the name may have been given, and the answer lost
            if _object(session, laid.schema, laid.name) in made:
                session.act(tablesql.drop_table(laid.schema, laid.name))
        raise
