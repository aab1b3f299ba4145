"""What the stand-in does when one table is laid beside another: the catalog's rows, the table, its rows, its name."""

import itertools
import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from decimal import Decimal
from typing import Any, Protocol

from tests.support.tds import hashing, values
from tests.support.tds.backups import Refused
from tests.support.tds.look import looked
from tests.support.tds.server import Piece, Rows, Say, Session
from tests.support.tds.store import Database, Index, Store, Table, appended
from tests.support.tds.texts import NAME, TEXT, golden, parts, text_of, unbracketed
from tests.support.tds.wire import Column as Described

Handler = Callable[..., Iterator[Piece]]
PLACE = rf"{NAME}\.{NAME}"
OBJECT = rf"OBJECT_ID\(N'{PLACE}'(?:, N'U')?\)"
FIRST_NUMBER = 245_575_913


class Alive(Protocol):
    is_there: Callable[[int], bool]
    """Whether a session has not ended yet: what it holds ends with it."""


class Laying:
    """Answers for one store, as long as sessions live."""

    def __init__(self, store: Store, sessions: Alive) -> None:
        self._store = store
        self._sessions = sessions
        self._numbers = itertools.count(FIRST_NUMBER, 16)
        self._held: dict[tuple[str, str], int] = {}
        self._numbering: dict[int, str] = {}
        self.patterns: list[tuple[re.Pattern[str], Handler]] = [*self._questions(), *self._rows(), *self._acts()]

    def _questions(self) -> list[tuple[re.Pattern[str], Handler]]:
        return [
            (_catalog("snapshots"), self._snapshots),
            (_catalog("collation"), self._collation),
            (re.compile(r"/\* drmgr: one view \*/ SET TRANSACTION ISOLATION LEVEL SNAPSHOT"), self._one_view),
            (_catalog("find-table", "N'patient'", TEXT), self._find),
            (_catalog("columns-of-table", "N'[dbo].[patient]'", f"N'{PLACE}'"), self._columns),
            (_catalog("columns-of-table-before-2016", "N'[dbo].[patient]'", f"N'{PLACE}'"), self._columns),
            (_catalog("indexes-of-table", "N'[dbo].[patient]'", f"N'{PLACE}'"), self._indexes),
            (_catalog("rest-of-table", "N'[dbo].[patient]'", f"N'{PLACE}'"), self._rest),
            (_catalog("half-laid"), self._half_laid),
            (_catalog("object", "N'[dbo].[patient]'", f"N'{PLACE}'"), self._object),
            (_catalog("hold", "N'drmgr_laying_0123456789abcdef'", TEXT), self._hold),
            (_catalog("is-free", "N'drmgr_laying_0123456789abcdef'", TEXT), self._is_free),
        ]

    def _rows(self) -> list[tuple[re.Pattern[str], Handler]]:
        return [
            (
                re.compile(
                    r"/\* drmgr: digests \*/ SELECT SUBSTRING\(HASHBYTES\('SHA2_256', (.*)\), 1, 16\) AS key_hash, "
                    rf"SUBSTRING\(HASHBYTES\('SHA2_256', (.*)\), 1, 16\) AS row_hash FROM {PLACE}"
                ),
                self._digests,
            ),
            (re.compile(rf"/\* drmgr: read rows \*/ SELECT (.*) FROM {PLACE}"), self._read),
            (
                re.compile(
                    rf"/\* drmgr: lay rows \*/ INSERT INTO {PLACE} \((.*?)\) SELECT (.*) FROM \(VALUES (.*)\) AS v \((.*)\)"
                ),
                self._insert,
            ),
            (re.compile(rf"/\* drmgr: own numbers \*/ SET IDENTITY_INSERT {PLACE} (ON|OFF)"), self._number),
            (re.compile(r"(SELECT (?:l\.\*|d\.\*|d\.\*, l\.\*|.* EXCEPT SELECT).*?);?"), self._look),
        ]

    def _acts(self) -> list[tuple[re.Pattern[str], Handler]]:
        return [
            (re.compile(rf"/\* drmgr: create table \*/ CREATE TABLE {PLACE} \((.*)\)"), self._create),
            (
                re.compile(
                    rf"/\* drmgr: primary key \*/ ALTER TABLE {PLACE} ADD PRIMARY KEY (CLUSTERED|NONCLUSTERED) \((.*)\)"
                ),
                self._primary,
            ),
            (
                re.compile(
                    rf"/\* drmgr: create index \*/ CREATE (UNIQUE )?(CLUSTERED|NONCLUSTERED) INDEX {NAME} ON {PLACE} "
                    r"\((.*?)\)(?: INCLUDE \((.*?)\))?(?: WHERE (\(.*\)))?"
                ),
                self._index,
            ),
            (
                re.compile(
                    rf"/\* drmgr: describe \*/ EXECUTE sys\.sp_addextendedproperty @name = N'MS_Description', @value = {TEXT}, "
                    rf"@level0type = N'SCHEMA', @level0name = {TEXT}, @level1type = N'TABLE', @level1name = {TEXT}"
                    rf"(?:, @level2type = N'COLUMN', @level2name = {TEXT})?"
                ),
                self._describe,
            ),
            (
                re.compile(
                    rf"/\* drmgr: rename \*/ EXECUTE sys\.sp_rename @objname = N'{PLACE}', @newname = {TEXT}, "
                    r"@objtype = 'OBJECT'"
                ),
                self._rename,
            ),
            (
                re.compile(rf"/\* drmgr: drop table \*/ IF {OBJECT} IS NOT NULL DROP TABLE {PLACE}"),
                self._drop,
            ),
            (re.compile(rf"(DROP TABLE) {PLACE};?"), self._drop_printed),
        ]

    # --- the catalog ---

    def _here(self, session: Session) -> Database:
        return self._store.databases[session.database]

    def _table(self, session: Session, schema: str, name: str) -> tuple[str, Table]:
        label = f"{unbracketed(schema)}.{unbracketed(name)}"
        tables = self._here(session).tables
        if label not in tables:
            raise Refused(Say(208, 16, f"Invalid object name '{label}'."))
        return label, tables[label]

    def _snapshots(self, session: Session) -> Iterator[Piece]:
        yield Rows([Described("snapshot_state", "int")], [[self._here(session).snapshots]])

    def _collation(self, session: Session) -> Iterator[Piece]:
        yield Rows([Described("collation_name", "text")], [[self._here(session).collation]])

    def _one_view(self, session: Session) -> Iterator[Piece]:
        if self._here(session).snapshots != 1:
            raise Refused(Say(3952, 16, "Snapshot isolation transaction failed: it is not allowed in this database."))
        yield from ()

    def _find(self, session: Session, asked: str) -> Iterator[Piece]:
        database, name = self._here(session), text_of(asked).lower()
        kinds = {**dict.fromkeys(database.tables, "U"), **database.others}
        rows = []
        for label, kind in sorted(kinds.items()):
            schema, table = label.split(".", 1)
            names = table, _bracketed(table)
            quoted = '"' + table.replace('"', '""') + '"'
            readings = {*names, quoted, *(f"{one}.{other}" for one in (schema, _bracketed(schema)) for other in names)}
            if name in {reading.lower() for reading in readings}:
                rows.append([schema, table, kind, 8192])
        columns = [Described(name, "text") for name in ("schema_name", "table_name", "kind")]
        yield Rows([*columns, Described("byte_count", "bigint")], rows)

    def _columns(self, session: Session, schema: str, name: str) -> Iterator[Piece]:
        texts = "column_name type_name collation_name identity_seed identity_increment default_definition"
        texts += " computed_definition comment"
        numbers = "max_length precision_digits scale_digits is_nullable is_column_set xml_collection_id is_encrypted"
        numbers += " is_masked is_persisted"
        rows = [
            [
                *(column.name, column.kind, column.collation, *(column.identity or (None, None))),
                *(column.default, column.computed, column.comment),
                *(column.length, column.precision, column.scale, column.nullable, 0, 0, 0, column.masked),
                column.persisted if column.computed is not None else None,
            ]
            for column in self._table(session, text_of(schema), text_of(name))[1].columns
        ]
        yield Rows(_described(texts, numbers), rows)

    def _indexes(self, session: Session, schema: str, name: str) -> Iterator[Piece]:
        texts, numbers = "index_name filter_definition column_name", "type_number is_unique is_primary_key is_disabled"
        numbers += " key_ordinal is_descending_key is_included_column"
        rows = []
        for index in self._table(session, text_of(schema), text_of(name))[1].indexes:
            shared = [index.number, index.unique, index.primary, 0]
            rows += [[index.name, index.condition, each, *shared, 0, 0, 1] for each in index.included]
            rows += [
                [index.name, index.condition, each, *shared, place, descends, 0]
                for place, (each, descends) in enumerate(index.columns, 1)
            ]
        yield Rows(_described(texts, numbers), rows)

    def _rest(self, session: Session, schema: str, name: str, *_again: str) -> Iterator[Piece]:
        table = self._table(session, text_of(schema), text_of(name))[1]
        counts = [Described(each, "int") for each in ("trigger_count", "foreign_key_count", "check_count")]
        yield Rows([*counts, Described("comment", "text")], [[*table.others, table.comment]])

    def _half_laid(self, session: Session) -> Iterator[Piece]:
        found = [label.split(".", 1) for label in sorted(self._here(session).tables)]
        rows = [each for each in found if re.fullmatch(r"drmgr_laying_[0-9a-f]{16}", each[1], re.IGNORECASE)]
        yield Rows([Described("schema_name", "text"), Described("table_name", "text")], rows)

    def _object(self, session: Session, schema: str, name: str) -> Iterator[Piece]:
        database = self._here(session)
        label = f"{unbracketed(text_of(schema))}.{unbracketed(text_of(name))}"
        number = None
        if label in database.tables or label in database.others:
            if label not in database.numbers:
                database.numbers[label] = next(self._numbers)
            number = database.numbers[label]
        yield Rows([Described("object_id", "int")], [[number]])

    # --- locks ---

    def _hold(self, session: Session, name: str) -> Iterator[Piece]:
        held = self._free(session, name)
        if held:
            self._held[session.database, text_of(name)] = session.number
        yield Rows([Described("held", "int")], [[0 if held else -1]])

    def _is_free(self, session: Session, name: str) -> Iterator[Piece]:
        yield Rows([Described("free", "int")], [[self._free(session, name)]])

    def _free(self, session: Session, name: str) -> bool:
        holder = self._held.get((session.database, text_of(name)))
        return holder is None or holder == session.number or not self._sessions.is_there(holder)

    # --- rows ---

    def _digests(self, session: Session, key: str, row: str, schema: str, name: str) -> Iterator[Piece]:
        table = self._table(session, schema, name)[1]
        pairs = zip(hashing.digests(table, key), hashing.digests(table, row), strict=True)
        rows = [[first[:16], second[:16]] for first, second in pairs]
        yield Rows([Described("key_hash", "binary"), Described("row_hash", "binary")], rows)

    def _read(self, session: Session, listed: str, schema: str, name: str) -> Iterator[Piece]:
        table = self._table(session, schema, name)[1]
        read = [values.read(each, table) for each in parts(listed)]
        described = [Described("", kind) for kind, _ in read]
        yield Rows(described, [[value(row) for _, value in read] for row in table.rows])

    def _number(self, session: Session, schema: str, name: str, how: str) -> Iterator[Piece]:
        label, table = self._table(session, schema, name)
        if all(column.identity is None for column in table.columns):
            raise Refused(Say(8106, 16, f"Table '{label}' does not have the identity property."))
        self._numbering[session.number] = label if how == "ON" else ""
        yield from ()

    def _insert(
        self, session: Session, schema: str, name: str, names: str, chosen: str, rows: str, _made: str
    ) -> Iterator[Piece]:
        label, table = self._table(session, schema, name)
        listed = [unbracketed(each[1:-1]) for each in parts(names)]
        if any(table.columns[table.column(each)].identity for each in listed) and (
            self._numbering.get(session.number) != label
        ):
            raise Refused(Say(544, 16, f"Cannot insert explicit value for identity column in table '{label}'."))
        makers = [
            values.made(each, table.columns[table.column(to)]) for each, to in zip(parts(chosen), listed, strict=True)
        ]
        made = [self._row(table, listed, makers, row) for row in parts(rows)]
        self._change(session, label, appended(table, *made))
        yield from ()

    def _row(self, table: Table, listed: list[str], makers: Sequence[Any], text: str) -> list[Any]:
        cells = [values.cell(each) for each in parts(text[1:-1])]
        found = {name: make(cells) for name, make in zip(listed, makers, strict=True)}
        for column in table.columns:
            if column.computed is not None:
                found[column.name] = _computed(column.computed, found)
            elif found.get(column.name) is None and not column.nullable:
                raise Refused(Say(515, 16, f"Cannot insert the value NULL into column '{column.name}'."))
        return [found.get(column.name) for column in table.columns]

    def _look(self, session: Session, text: str) -> Iterator[Piece]:
        yield looked(self._here(session).tables, text)

    # --- definitions ---

    def _change(self, session: Session, label: str, table: Table | None) -> None:
        def change(tables: dict[str, Table]) -> None:
            if table is None:
                del tables[label]
            else:
                tables[label] = table

        if table is None:
            self._here(session).numbers.pop(label, None)
        self._store.change(session.database, change)

    def _create(self, session: Session, schema: str, name: str, columns: str) -> Iterator[Piece]:
        database, label = self._here(session), f"{unbracketed(schema)}.{unbracketed(name)}"
        if schema not in {"dbo", *(each.split(".", 1)[0] for each in database.tables)}:
            raise Refused(Say(2760, 16, f"The specified schema name '{schema}' does not exist."))
        if label in database.tables:
            raise Refused(Say(2714, 16, f"There is already an object named '{label}' in the database."))
        self._change(session, label, Table(tuple(values.column(each) for each in parts(columns)), ()))
        yield from ()

    def _primary(self, session: Session, schema: str, name: str, how: str, columns: str) -> Iterator[Piece]:
        _, table = self._table(session, schema, name)
        keys = _keys(columns)
        if any(table.columns[table.column(each)].nullable for each, _ in keys):
            raise Refused(Say(8111, 16, "Cannot define PRIMARY KEY constraint on nullable column."))
        number = 1 if how == "CLUSTERED" else 2
        made = Index(f"PK__{name[:9]}__3213E83F", keys, primary=True, unique=True, number=number)
        self._give(session, schema, name, made)
        yield from ()

    def _index(self, session: Session, unique: str | None, how: str, *rest: str | None) -> Iterator[Piece]:
        named, schema, name, columns, included, condition = rest
        assert named is not None and schema is not None and name is not None and columns is not None
        made = Index(
            unbracketed(named),
            _keys(columns),
            unique=unique is not None,
            number=1 if how == "CLUSTERED" else 2,
            included=tuple(unbracketed(each[1:-1]) for each in parts(included)) if included else (),
            condition=condition,
        )
        self._give(session, schema, name, made)
        yield from ()

    def _give(self, session: Session, schema: str, name: str, index: Index) -> None:
        label, table = self._table(session, schema, name)
        places = [table.column(each) for each, _ in index.columns]
        found = [tuple(row[at] for at in places) for row in table.rows]
        if index.unique and index.condition is None and len(set(found)) < len(found):
            raise Refused(Say(1505, 16, f"A duplicate key was found for the index '{index.name}'."))
        if index.number == 1 and any(each.number == 1 for each in table.indexes):
            raise Refused(Say(1902, 16, f"Cannot create more than one clustered index on table '{label}'."))
        self._change(session, label, replace(table, indexes=(*table.indexes, index)))

    def _describe(self, session: Session, comment: str, schema: str, name: str, column: str | None) -> Iterator[Piece]:
        label, table = self._table(session, text_of(schema), text_of(name))
        said = text_of(comment)
        if column is None:
            self._change(session, label, replace(table, comment=said))
        else:
            at = table.column(text_of(column))
            columns = (*table.columns[:at], replace(table.columns[at], comment=said), *table.columns[at + 1 :])
            self._change(session, label, replace(table, columns=columns))
        yield from ()

    def _rename(self, session: Session, schema: str, name: str, new: str) -> Iterator[Piece]:
        label, table = self._table(session, text_of(schema), text_of(name))
        database, named = self._here(session), f"{label.split('.', 1)[0]}.{text_of(new)}"
        if named in database.tables or named in database.others:
            raise Refused(Say(15335, 11, f"The new name '{text_of(new)}' is already in use as a object name."))

        def change(tables: dict[str, Table]) -> None:
            del tables[label]
            tables[named] = table

        self._store.change(session.database, change)
        if label in database.numbers:
            database.numbers[named] = database.numbers.pop(label)
        yield Say(15477, 0, "Caution: Changing any part of an object name could break scripts and stored procedures.")

    def _drop(self, session: Session, _schema: str, _name: str, schema: str, name: str) -> Iterator[Piece]:
        label = f"{unbracketed(schema)}.{unbracketed(name)}"
        if label in self._here(session).tables:
            self._change(session, label, None)
        yield from ()

    def _drop_printed(self, session: Session, _drop: str, schema: str, name: str) -> Iterator[Piece]:
        label, _ = self._table(session, schema, name)
        self._change(session, label, None)
        yield from ()


def _described(texts: str, numbers: str) -> list[Described]:
    return [Described(name, kind) for names, kind in ((texts, "text"), (numbers, "int")) for name in names.split()]


def _bracketed(name: str) -> str:
    return "[" + name.replace("]", "]]") + "]"


def _keys(text: str) -> tuple[tuple[str, bool], ...]:
    found = [each.rsplit(" ", 1) for each in parts(text)]
    return tuple((unbracketed(name[1:-1]), order == "DESC") for name, order in found)


def _computed(expression: str, row: dict[str, Any]) -> Decimal | None:
    """The one kind of expression that the samples have: a column, times a number."""
    found = re.fullmatch(rf"\({NAME}\*\((\d+)\)\)", expression)
    assert found is not None, expression
    value = row[unbracketed(found[1])]
    return None if value is None else value * int(found[2])


def _catalog(name: str, example: str = "", group: str = "") -> re.Pattern[str]:
    """A golden text in which what is asked for may be another."""
    text = re.escape(golden(name))
    if example:
        assert re.escape(example) in text, name
        text = text.replace(re.escape(example), group)
    return re.compile(text)
