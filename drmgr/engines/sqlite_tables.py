"""Lays one table of a restored SQLite database beside the live one, and reads both so that they can be compared."""

# ruff: noqa: S608 - names are quoted by ``quoted``

import sqlite3
from collections.abc import Iterator, Sequence
from contextlib import closing
from pathlib import Path
from typing import Final

from drmgr.engines.laying import NOTHING_LEFT, free_name, readings, refuse_other_rows, sealed_proof
from drmgr.engines.sqlite import LOCK_SECONDS, SqliteEngine, file_of, opened, told
from drmgr.engines.sqlite_ddl import index_columns, renamed
from drmgr.engines.sqlite_facts import quoted, row_digest, table_facts
from drmgr.errors import LoadError, PreflightError, UsageError
from drmgr.interfaces import Progress
from drmgr.model import Facts, Instance, LaidTable, TableProof, TableShape, TableStatements
from drmgr.system.files import free_bytes

GENERATED: Final = (2, 3)
ROOM: Final = 2
"""The write-ahead log, or the rollback journal, takes about as much again as the table itself."""


class SqliteTables:
    """See interfaces.TableEngine."""

    def __init__(self, engine: SqliteEngine) -> None:
        self._engine = engine

    def table(self, of: Instance, name: str) -> TableShape | None:
        with opened(file_of(of)) as session, told(f"the table {name} could not be looked up"):
            for candidate in readings(name, ("main.",), '"'):
                row = session.execute(
                    "SELECT name, type, rootpage FROM sqlite_schema WHERE type IN ('table', 'view') AND name = ? COLLATE NOCASE",
                    (candidate,),
                ).fetchone()
                if row is not None:
                    if row[1] == "view" or not row[2]:
                        raise UsageError(f"{name} is a view or a virtual table, and those have no rows of their own")
                    return _shape(session, row[0], file_of(of))
        return None

    def free_name(self, live: Instance, beside: TableShape, ending: str) -> str:
        with opened(file_of(live)) as session, told("a free name could not be looked for"):

            def taken(name: str) -> bool:
                return _taken(session, name)

            return free_name(beside.name, ending, taken, most=200, size=len)

    def lay(self, scratch: Instance, table: TableShape, live: Instance, name: str, progress: Progress) -> LaidTable:
        target = file_of(live)
        _refuse_small_disk(table, target)
        with (
            told(f"the table {table.label} could not be laid", LoadError, hint=NOTHING_LEFT),
            closing(
                sqlite3.connect(_uri(target, "rw"), uri=True, timeout=LOCK_SECONDS, isolation_level=None)
            ) as session,
        ):
            session.execute("ATTACH ? AS restored", (_uri(file_of(scratch), "ro"),))
            before = _proof(session, table.name, "restored")
            # other programs wait from here on; rows pass inside of SQLite, for that is the shortest
            session.execute("BEGIN IMMEDIATE")
            try:
                left_out = _fill(session, table, name, progress)
                proof = _proof(session, name, "main")
                refuse_other_rows(table, before, proof)
                session.execute("COMMIT")
            except BaseException:
                if session.in_transaction:
                    session.execute("ROLLBACK")
                raise
        progress(1.0, "laid")
        return LaidTable(TableShape("", name, table.columns, table.key, (name,), table.bytes), proof, left_out)

    def drop(self, live: Instance, laid: LaidTable) -> None:
        with (
            told(f"the table {laid.shape.label} could not be dropped"),
            closing(sqlite3.connect(_uri(file_of(live), "rw"), uri=True, timeout=LOCK_SECONDS)) as session,
        ):
            session.execute(f"DROP TABLE IF EXISTS {quoted(laid.shape.name)}")

    def proof(self, of: Instance, table: TableShape) -> TableProof:
        with opened(file_of(of)) as session, told(f"the rows of {table.label} could not be counted"):
            return _proof(session, table.name, "main")

    def expected(self, facts: Facts, table: TableShape) -> TableProof | None:
        return sealed_proof(facts, table.name)

    def digests(
        self, of: Instance, table: TableShape, columns: Sequence[str], key: Sequence[str]
    ) -> Iterator[tuple[bytes, bytes]]:
        chosen = ", ".join(map(quoted, (*key, *columns)))
        with opened(file_of(of)) as session, told(f"the rows of {table.label} could not be read"):
            # as they are stored, well-formed or not, and told apart from blobs
            session.text_factory = bytearray
            for row in session.execute(f"SELECT {chosen} FROM {quoted(table.name)}"):
                digest = row_digest(row[len(key) :])
                yield (row_digest(row[: len(key)]) if key else digest), digest

    def statements(
        self, live: TableShape, laid: TableShape, columns: Sequence[str], key: Sequence[str]
    ) -> TableStatements:
        now, before = quoted(live.name), quoted(laid.name)
        if not key:
            names = ", ".join(map(quoted, columns))
            one, other = (f"SELECT {names} FROM {side}" for side in (now, before))
            look = {"added": f"{one} EXCEPT {other};", "removed": f"{other} EXCEPT {one};"}
        else:
            same = " AND ".join(f"l.{quoted(column)} IS d.{quoted(column)}" for column in key)
            equal = " AND ".join(f"l.{quoted(column)} IS d.{quoted(column)}" for column in columns)
            look = {
                "added": f"SELECT l.* FROM {now} l WHERE NOT EXISTS (SELECT 1 FROM {before} d WHERE {same});",
                "removed": f"SELECT d.* FROM {before} d WHERE NOT EXISTS (SELECT 1 FROM {now} l WHERE {same});",
                "changed": f"SELECT d.*, l.* FROM {before} d JOIN {now} l ON {same} WHERE NOT ({equal});",
            }
        return TableStatements(look, f"DROP TABLE {before};")

    def into_place(self, scratch: Instance, table: TableShape, laid: TableShape) -> tuple[str, ...]:
        with opened(file_of(scratch)) as session, told(f"how {table.label} was made could not be read"):
            made = "SELECT sql FROM sqlite_schema WHERE type = 'trigger' AND tbl_name = ? ORDER BY name"
            triggers = tuple(f"{statement};" for (statement,) in session.execute(made, (table.name,)))
        return (f"ALTER TABLE {quoted(laid.name)} RENAME TO {quoted(table.name)};", *triggers)


def _shape(session: sqlite3.Connection, name: str, path: Path) -> TableShape:
    columns, key = {}, []
    for _, column, kind, _, _, place, _ in session.execute(f"PRAGMA table_xinfo({quoted(name)})"):
        columns[column] = kind
        if place:
            key.append((place, column))
    return TableShape(
        "", name, columns, tuple(column for _, column in sorted(key)), (name,), _size(session, name, path)
    )


def _size(session: sqlite3.Connection, name: str, path: Path) -> int:
    try:
        (size,) = session.execute(
            "SELECT sum(pgsize) FROM dbstat WHERE name IN (SELECT name FROM sqlite_schema WHERE tbl_name = ?)", (name,)
        ).fetchone()
    except sqlite3.Error:
        # a SQLite that was built without dbstat
        return path.stat().st_size
    return int(size or 0)


def _refuse_small_disk(table: TableShape, target: Path) -> None:
    needed, free = ROOM * table.bytes, free_bytes(target.parent)
    if free < needed:
        raise PreflightError(
            f"to lay the table {table.label} takes {needed} bytes, and beside the live database {free} bytes are free",
            hint="free some space, or look at the table with --to scratch",
        )


def _fill(session: sqlite3.Connection, table: TableShape, name: str, progress: Progress) -> tuple[str, ...]:
    if _taken(session, name):
        raise LoadError(f"the name {name} was taken meanwhile", hint=NOTHING_LEFT)
    definition, indexes, triggers = _definition(session, table.name)
    session.execute(renamed(definition, name))
    progress(0.1, "rows")
    xinfo = f"PRAGMA {{}}.table_xinfo({quoted(table.name)})"
    stored = [quoted(row[1]) for row in session.execute(xinfo.format("restored")) if row[6] not in GENERATED]
    names = ", ".join(stored)
    session.execute(f"INSERT INTO main.{quoted(name)} ({names}) SELECT {names} FROM restored.{quoted(table.name)}")
    progress(0.7, "indexes")
    for number, (unique, text) in enumerate(indexes, start=1):
        index = f"{name}_{number}"
        session.execute(f"CREATE {'UNIQUE ' if unique else ''}INDEX {quoted(index)} ON {quoted(name)} {text}")
    if session.execute(f"PRAGMA main.foreign_key_list({quoted(name)})").fetchone() is not None:
        raise LoadError(f"the references of {table.label} to other tables could not be left out", hint=NOTHING_LEFT)
    _refuse_unlike(session, table, name)
    references = len({row[0] for row in session.execute(f"PRAGMA restored.foreign_key_list({quoted(table.name)})")})
    counts = (("triggers", triggers), ("foreign keys", references))
    return tuple(f"{count} {kind}" for kind, count in counts if count)


def _refuse_unlike(session: sqlite3.Connection, table: TableShape, name: str) -> None:
    """Raises LoadError unless the columns are the same in name, type, default, key, and what they are computed from."""
    before, laid = (
        session.execute(f"PRAGMA {place}.table_xinfo({quoted(each)})").fetchall()
        for place, each in (("restored", table.name), ("main", name))
    )
    if [row[1:4] + row[5:] for row in before] != [row[1:4] + row[5:] for row in laid]:
        raise LoadError(f"the columns of {table.label} are not the same once they are laid", hint=NOTHING_LEFT)


def _definition(session: sqlite3.Connection, table: str) -> tuple[str, list[tuple[bool, str]], int]:
    """The statement of the table, those of its indexes from the columns on, and how many triggers it has."""
    statement, indexes, triggers = "", [], 0
    for kind, text in session.execute(
        "SELECT type, sql FROM restored.sqlite_schema WHERE tbl_name = ? AND sql IS NOT NULL ORDER BY name", (table,)
    ):
        if kind == "table":
            statement = text
        elif kind == "index":
            indexes.append((text.split(None, 2)[1].upper() == "UNIQUE", index_columns(text)))
        else:
            triggers += kind == "trigger"
    return statement, indexes, triggers


def _taken(session: sqlite3.Connection, name: str) -> bool:
    found = session.execute("SELECT 1 FROM main.sqlite_schema WHERE lower(name) = lower(?)", (name,)).fetchone()
    return found is not None


def _proof(session: sqlite3.Connection, table: str, place: str) -> TableProof:
    factory = session.text_factory
    session.text_factory = bytearray
    try:
        found = table_facts(session, table, full=True, place=place)
    finally:
        session.text_factory = factory
    return TableProof(int(found["rows"]), str(found["fingerprint"]))


def _uri(path: Path, mode: str) -> str:
    return f"{path.absolute().as_uri()}?mode={mode}"
