"""Lays one table of a restored MariaDB beside the live one, and reads both so that they can be compared."""

# ruff: noqa: S608 - names are quoted by ``quoted``

import secrets
from collections.abc import Iterator, Sequence
from contextlib import closing, contextmanager, suppress
from typing import Final

import pymysql
from pymysql.cursors import SSCursor

from drmgr.engines.laying import NOTHING_LEFT, free_name, readings, refuse_other_rows, sealed_proof
from drmgr.engines.mariadb.connection import Endpoint, Session, connect, quoted, run, told
from drmgr.engines.mariadb.engine import MariadbEngine
from drmgr.engines.mariadb.facts import are_exact, row_hash, table_facts
from drmgr.engines.mariadb.rowcopy import Place, copy_rows
from drmgr.engines.mariadb.tableplace import into_place
from drmgr.errors import DrmgrError, LoadError, SourceError, UsageError
from drmgr.interfaces import Progress
from drmgr.model import Facts, Instance, LaidTable, TableProof, TableShape, TableStatements

NAME_CHARACTERS: Final = 64
BATCH_ROWS: Final = 2000
LAYING: Final = "drmgr_laying_"
"""How a table is called until its rows are proven. MariaDB has no transaction around CREATE TABLE: one that was killed
leaves such a table, whose lock nobody holds any more."""

FIND = """
SELECT table_name, table_type, COALESCE(data_length, 0) + COALESCE(index_length, 0) FROM information_schema.tables
WHERE table_schema = %s AND table_name = %s"""

COLUMNS = """
SELECT column_name, column_type FROM information_schema.columns
WHERE table_schema = %s AND table_name = %s ORDER BY ordinal_position"""

STORED = """
SELECT column_name, data_type, is_generated = 'ALWAYS' FROM information_schema.columns
WHERE table_schema = %s AND table_name = %s ORDER BY ordinal_position"""

DRAWING = """
SELECT column_name FROM information_schema.columns
WHERE table_schema = %s AND table_name = %s AND column_default LIKE '%%nextval(%%'"""

KEY = """
SELECT column_name FROM information_schema.statistics
WHERE table_schema = %s AND table_name = %s AND index_name = 'PRIMARY' ORDER BY seq_in_index"""

OTHERS = """
SELECT (SELECT count(*) FROM information_schema.triggers WHERE trigger_schema = %s AND event_object_table = %s),
       (SELECT count(*) FROM information_schema.referential_constraints WHERE constraint_schema = %s AND table_name = %s)"""

HALF_LAID = """
SELECT table_name FROM information_schema.tables WHERE table_schema = %s AND table_name LIKE 'drmgr\\_laying\\_%%'"""


class MariadbTables:
    """See interfaces.TableEngine."""

    def __init__(self, engine: MariadbEngine) -> None:
        self._engine = engine

    def table(self, of: Instance, name: str) -> TableShape | None:
        endpoint = self._engine.endpoint(of)
        with self._reading(of, f"the table {name} could not be looked up") as session:
            for candidate in readings(name, (f"{endpoint.database}.", f"{quoted(endpoint.database)}."), "`"):
                found = run(session, FIND, endpoint.database, candidate)
                if found:
                    ((table, kind, size),) = found
                    if kind not in ("BASE TABLE", "SYSTEM VERSIONED"):
                        raise UsageError(f"{name} is a {kind.lower()}, and only tables have rows of their own")
                    return _shape(session, endpoint.database, table, int(size))
        return None

    def free_name(self, live: Instance, beside: TableShape, ending: str) -> str:
        database = self._engine.endpoint(live).database
        with self._reading(live, "a free name could not be looked for") as session:

            def taken(name: str) -> bool:
                return bool(run(session, FIND, database, name))

            return free_name(beside.name, ending, taken, most=NAME_CHARACTERS, size=len)

    def lay(self, scratch: Instance, table: TableShape, live: Instance, name: str, progress: Progress) -> LaidTable:
        origin, place = self._engine.endpoint(scratch), self._engine.endpoint(live)
        laying = LAYING + secrets.token_hex(8)
        what = f"the table {table.label} could not be laid"
        with (
            told(what, LoadError, hint=NOTHING_LEFT),
            closing(connect(origin, LoadError)) as source,
            _session(place) as target,
        ):
            _clear(target, place.database)
            statement, left_out = _statement(source, origin.database, table.name, laying)
            run(target, "SELECT GET_LOCK(%s, 0)", f"{place.database}.{laying}")
            with _all_or_nothing(place, target, laying):
                run(target, statement)
                stored = run(source, STORED, origin.database, table.name)
                columns = [(column, kind) for column, kind, computed in stored if not computed]
                rows = _proof(source, origin.database, table.name)
                there, here = Place(source, origin.database, table.name), Place(target, place.database, laying)
                copy_rows(there, here, columns, progress, rows.rows)
                progress(0.85, "proof")
                proof = _proof(target, place.database, laying)
                refuse_other_rows(table, rows, proof)
                run(target, f"RENAME TABLE {quoted(place.database, laying)} TO {quoted(place.database, name)}")
        progress(1.0, "laid")
        return LaidTable(TableShape("", name, table.columns, table.key, (name,), table.bytes), proof, left_out)

    def drop(self, live: Instance, laid: LaidTable) -> None:
        endpoint = self._engine.endpoint(live)
        with closing(connect(endpoint)) as session, told(f"the table {laid.shape.label} could not be dropped"):
            run(session, f"DROP TABLE IF EXISTS {quoted(endpoint.database, laid.shape.name)}")

    def proof(self, of: Instance, table: TableShape) -> TableProof:
        with self._reading(of, f"the rows of {table.label} could not be counted") as session:
            return _proof(session, self._engine.endpoint(of).database, table.name)

    def expected(self, facts: Facts, table: TableShape) -> TableProof | None:
        if any(kind.startswith("float") for kind in table.columns.values()) and not are_exact(facts.groups):
            # an older drmgr saw six digits of it
            return None
        return sealed_proof(facts, table.name)

    def digests(
        self, of: Instance, table: TableShape, columns: Sequence[str], key: Sequence[str]
    ) -> Iterator[tuple[bytes, bytes]]:
        database = self._engine.endpoint(of).database
        with self._reading(of, f"the rows of {table.label} could not be read") as session:
            kinds = {name: kind for name, kind, _ in run(session, STORED, database, table.name)}
            hashes = ", ".join(
                f"UNHEX(LEFT({row_hash([(name, kinds[name]) for name in names])}, 32))"
                for names in (key or columns, columns)
            )
            with session.cursor(SSCursor) as cursor:
                cursor.execute(f"SELECT {hashes} FROM {quoted(database, table.name)}")
                while batch := cursor.fetchmany(BATCH_ROWS):
                    for first, second in batch:
                        if first is None or second is None:
                            raise SourceError(f"a row of {table.label} is too long for the server to be compared")
                        yield first, second

    def statements(
        self, live: TableShape, laid: TableShape, columns: Sequence[str], key: Sequence[str]
    ) -> TableStatements:
        now, before = quoted(live.name), quoted(laid.name)
        if not key:
            names = ", ".join(map(quoted, columns))
            one, other = (f"SELECT {names} FROM {side}" for side in (now, before))
            look = {"added": f"{one} EXCEPT ALL {other};", "removed": f"{other} EXCEPT ALL {one};"}
        else:
            same = " AND ".join(f"l.{quoted(column)} = d.{quoted(column)}" for column in key)
            equal = " AND ".join(f"BINARY l.{quoted(column)} <=> BINARY d.{quoted(column)}" for column in columns)
            look = {
                "added": f"SELECT l.* FROM {now} l WHERE NOT EXISTS (SELECT 1 FROM {before} d WHERE {same});",
                "removed": f"SELECT d.* FROM {before} d WHERE NOT EXISTS (SELECT 1 FROM {now} l WHERE {same});",
                "changed": f"SELECT d.*, l.* FROM {before} d JOIN {now} l ON {same} WHERE NOT ({equal});",
            }
        return TableStatements(look, f"DROP TABLE {before};")

    def into_place(self, scratch: Instance, table: TableShape, laid: TableShape) -> tuple[str, ...]:
        place = self._engine.endpoint(scratch)
        with self._reading(scratch, f"how {table.label} was made could not be read") as session:
            drawing = [str(column) for (column,) in run(session, DRAWING, place.database, table.name)]
            return into_place(session, place.database, table, laid, drawing)

    @contextmanager
    def _reading(self, of: Instance, what: str) -> Iterator[Session]:
        with closing(connect(self._engine.endpoint(of))) as session, told(what):
            run(session, "START TRANSACTION WITH CONSISTENT SNAPSHOT, READ ONLY")
            yield session


def _shape(session: Session, database: str, table: str, size: int) -> TableShape:
    columns = dict(run(session, COLUMNS, database, table))
    key = tuple(column for (column,) in run(session, KEY, database, table))
    return TableShape("", table, columns, key, (table,), size)


def _proof(session: Session, database: str, table: str) -> TableProof:
    found = table_facts(session, database, table, full=True)
    return TableProof(int(found["rows"]), str(found["fingerprint"]))


def _statement(source: Session, database: str, table: str, name: str) -> tuple[str, tuple[str, ...]]:
    """How to make a table like it, and what stays out: a likeness on scratch has no foreign keys and no triggers already."""
    drawing = [column for (column,) in run(source, DRAWING, database, table)]
    place = quoted(database, name)
    run(source, f"CREATE TABLE {place} LIKE {quoted(database, table)}")
    try:
        for column in drawing:
            run(source, f"ALTER TABLE {place} ALTER COLUMN {quoted(column)} DROP DEFAULT")
        ((_, statement),) = run(source, f"SHOW CREATE TABLE {place}")
    finally:
        run(source, f"DROP TABLE {place}")
    ((triggers, references),) = run(source, OTHERS, database, table, database, table)
    counts = (("triggers", triggers), ("foreign keys", references))
    left_out = [f"default of {column}, which draws from a sequence" for column in drawing]
    return str(statement), (*left_out, *(f"{count} {kind}" for kind, count in counts if count))


@contextmanager
def _session(place: Endpoint) -> Iterator[Session]:
    session = connect(place, LoadError)
    try:
        yield session
    finally:
        # it may have been closed before
        with suppress(pymysql.Error):
            session.close()


@contextmanager
def _all_or_nothing(place: Endpoint, target: Session, laying: str) -> Iterator[None]:
    try:
        yield
    except BaseException:
        # what ended the block may have ended the session, or left it in the middle of a statement
        with suppress(pymysql.Error):
            target.close()
        with suppress(DrmgrError, pymysql.Error), closing(connect(place)) as session:
            run(session, f"DROP TABLE IF EXISTS {quoted(place.database, laying)}")
        raise


def _clear(target: Session, database: str) -> None:
    """Tables that a killed process was laying: whoever is at it holds the lock of its name."""
    for (name,) in run(target, HALF_LAID, database):
        ((free,),) = run(target, "SELECT IS_FREE_LOCK(%s)", f"{database}.{name}")
        if free:
            run(target, f"DROP TABLE IF EXISTS {quoted(database, name)}")
