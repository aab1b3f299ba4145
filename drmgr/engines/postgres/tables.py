"""Lays one table of a restored PostgreSQL beside the live one, and reads both so that they can be compared."""

# ruff: noqa: S608 - statements for a person to read, with names quoted by ``_name``

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from typing import Any, Final, LiteralString

import psycopg
from psycopg import sql

from drmgr.engines.laying import NOTHING_LEFT, bytes_of, free_name, refuse_other_rows
from drmgr.engines.postgres.connection import Session, connect, pin, safe_message, told
from drmgr.engines.postgres.engine import PostgresEngine
from drmgr.engines.postgres.facts import fingerprint_of, own_rows, together
from drmgr.engines.postgres.tabledef import Definition, read_definition
from drmgr.engines.postgres.tableplace import into_place
from drmgr.errors import DrmgrError, LoadError, SourceError, UsageError
from drmgr.interfaces import Progress
from drmgr.model import Facts, Instance, LaidTable, TableProof, TableShape, TableStatements

NAME_BYTES: Final = 63
DIGEST_HEX: Final = 32

FIND: LiteralString = """
SELECT n.nspname::text, c.relname::text, c.relkind::text, pg_catalog.pg_total_relation_size(c.oid)
FROM pg_catalog.pg_class c JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
WHERE c.relkind IN ('r', 'p', 'v', 'm', 'f', 'S') AND c.relpersistence <> 't'
  AND n.nspname !~ '^pg_' AND n.nspname <> 'information_schema'
  AND %s::text IN (c.relname, pg_catalog.quote_ident(c.relname), n.nspname || '.' || c.relname,
             pg_catalog.quote_ident(n.nspname) || '.' || pg_catalog.quote_ident(c.relname), '"' || c.relname || '"')
ORDER BY 1, 2"""

COLUMNS: LiteralString = """
SELECT a.attname::text, pg_catalog.format_type(a.atttypid, a.atttypmod) FROM pg_catalog.pg_attribute a
WHERE a.attrelid = %s::pg_catalog.regclass AND a.attnum > 0 AND NOT a.attisdropped ORDER BY a.attnum"""

KEY: LiteralString = """
SELECT a.attname::text FROM pg_catalog.pg_index i
CROSS JOIN LATERAL pg_catalog.unnest(i.indkey::int2[]) WITH ORDINALITY AS k(number, place)
JOIN pg_catalog.pg_attribute a ON a.attrelid = i.indrelid AND a.attnum = k.number
WHERE i.indrelid = %s::pg_catalog.regclass AND i.indisprimary AND k.place <= i.indnkeyatts ORDER BY k.place"""

LEAVES: LiteralString = """
SELECT n.nspname || '.' || c.relname, pg_catalog.pg_total_relation_size(c.oid)
FROM pg_catalog.pg_partition_tree(%s::pg_catalog.regclass) p
JOIN pg_catalog.pg_class c ON c.oid = p.relid JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
WHERE p.isleaf ORDER BY 1"""

TAKEN: LiteralString = """
SELECT EXISTS (SELECT FROM pg_catalog.pg_class c JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
               WHERE n.nspname = %(schema)s::text AND c.relname = %(name)s::text)
    OR EXISTS (SELECT FROM pg_catalog.pg_type t JOIN pg_catalog.pg_namespace n ON n.oid = t.typnamespace
               WHERE n.nspname = %(schema)s::text AND t.typname = %(name)s::text)"""

GRANTEES: LiteralString = """
SELECT DISTINCT CASE WHEN x.grantee = 0 THEN NULL ELSE pg_catalog.pg_get_userbyid(x.grantee)::text END
FROM pg_catalog.pg_class c CROSS JOIN LATERAL pg_catalog.aclexplode(c.relacl) x
WHERE c.oid = %s::pg_catalog.regclass AND x.grantee <> c.relowner"""

SPEAK: LiteralString = "SELECT pg_catalog.set_config('client_encoding', %s, false)"

_KINDS: Final = {"v": "a view", "m": "a materialised view", "f": "a foreign table", "S": "a sequence"}


class PostgresTables:
    """See interfaces.TableEngine."""

    def __init__(self, engine: PostgresEngine) -> None:
        self._engine = engine

    def table(self, of: Instance, name: str) -> TableShape | None:
        with self._reading(of, f"the table {name} could not be looked up") as session:
            found = session.execute(FIND, (name,)).fetchall()
            if not found:
                return None
            if len(found) > 1:
                names = ", ".join(f"{schema}.{table}" for schema, table, _, _ in found)
                raise UsageError(f"several tables have the name {name}", hint=f"say which: {names}")
            schema, table, kind, size = found[0]
            if kind in _KINDS:
                raise UsageError(f"{name} is {_KINDS[kind]}, and only tables have rows of their own")
            return _shape(session, schema, table, size, partitioned=kind == "p")

    def free_name(self, live: Instance, beside: TableShape, ending: str) -> str:
        with self._reading(live, "a free name could not be looked for") as session:

            def taken(name: str) -> bool:
                return bool(_one(session, TAKEN, {"schema": beside.schema, "name": name})[0])

            return free_name(beside.name, ending, taken, most=NAME_BYTES, size=bytes_of)

    def lay(self, scratch: Instance, table: TableShape, live: Instance, name: str, progress: Progress) -> LaidTable:
        laid = TableShape(table.schema, name, table.columns, table.key, (f"{table.schema}.{name}",))
        with (
            self._reading(scratch, f"the restored table {table.label} could not be read", LoadError) as source,
            connect(self._engine.endpoint(live), LoadError) as target,
            _laying(table, target),
        ):
            pin(target)
            definition = read_definition(source, _quoted(table))
            _create(target, laid, definition)
            progress(0.05, "rows")
            columns = sql.SQL(", ").join(sql.Identifier(column) for column in definition.copied)
            out = sql.SQL("COPY (SELECT {} FROM {}) TO STDOUT").format(columns, _rows(table))
            listed = sql.SQL("({})").format(columns) if definition.copied else sql.SQL("")
            into = sql.SQL("COPY {} {} FROM STDIN").format(_identifier(laid), listed)
            size = max(1, table.bytes)
            _copy(source, out, target, into, lambda done: progress(0.05 + 0.55 * min(1.0, done / size), "rows"))
            progress(0.6, "indexes")
            left_out = (*definition.left_out, *_finish(target, laid, definition))
            progress(0.9, "proof")
            proof = _proof(target, laid)
            refuse_other_rows(table, _proof(source, table), proof)
            target.commit()
        progress(1.0, "laid")
        partitioned = () if table.parts == (table.label,) else ("its partitions, whose rows are in one table here",)
        return LaidTable(laid, proof, (*partitioned, *left_out))

    def drop(self, live: Instance, laid: LaidTable) -> None:
        with (
            connect(self._engine.endpoint(live)) as session,
            told(f"the table {laid.shape.label} could not be dropped"),
        ):
            session.execute(sql.SQL("DROP TABLE IF EXISTS {}").format(_identifier(laid.shape)))

    def proof(self, of: Instance, table: TableShape) -> TableProof:
        with self._reading(of, f"the rows of {table.label} could not be counted") as session:
            return _proof(session, table)

    def expected(self, facts: Facts, table: TableShape) -> TableProof | None:
        tables = facts.groups.get("tables", {})
        found = [tables[part] for part in table.parts if part in tables]
        if not found or len(found) != len(table.parts) or any("fingerprint" not in each for each in found):
            return None
        return TableProof(sum(each["rows"] for each in found), together([each["fingerprint"] for each in found]))

    def digests(
        self, of: Instance, table: TableShape, columns: Sequence[str], key: Sequence[str]
    ) -> Iterator[tuple[bytes, bytes]]:
        with self._reading(of, f"the rows of {table.label} could not be read") as session:
            query = sql.SQL("COPY (SELECT {} || {} FROM {} AS t) TO STDOUT").format(
                _digest(key or columns), _digest(columns), _rows(table)
            )
            with session.cursor() as cursor, cursor.copy(query) as rows:
                for row in rows:
                    text = bytes(row).decode("ascii").rstrip("\n")
                    yield bytes.fromhex(text[:DIGEST_HEX]), bytes.fromhex(text[DIGEST_HEX:])

    def statements(
        self, live: TableShape, laid: TableShape, columns: Sequence[str], key: Sequence[str]
    ) -> TableStatements:
        now, before = _quoted(live), _quoted(laid)
        if not key:
            text = ", ".join(f"t.{_name(column)}" for column in columns)
            one, other = (f"SELECT ROW({text})::text FROM {side} t" for side in (now, before))
            look = {"added": f"{one} EXCEPT ALL {other};", "removed": f"{other} EXCEPT ALL {one};"}
        else:
            same = " AND ".join(f"l.{_name(column)} = d.{_name(column)}" for column in key)
            texts = [", ".join(f"{side}.{_name(column)}" for column in columns) for side in "dl"]
            look = {
                "added": f"SELECT l.* FROM {now} l WHERE NOT EXISTS (SELECT FROM {before} d WHERE {same});",
                "removed": f"SELECT d.* FROM {before} d WHERE NOT EXISTS (SELECT FROM {now} l WHERE {same});",
                "changed": f"SELECT d.*, l.* FROM {before} d JOIN {now} l ON {same} "
                f"WHERE ROW({texts[0]})::text <> ROW({texts[1]})::text;",
            }
        return TableStatements(look, f"DROP TABLE {before};")

    def into_place(self, scratch: Instance, table: TableShape, laid: TableShape) -> tuple[str, ...]:
        with self._reading(scratch, f"how {table.label} was made could not be read") as session:
            return into_place(session, table, laid)

    @contextmanager
    def _reading(self, of: Instance, what: str, error: type[DrmgrError] = SourceError) -> Iterator[Session]:
        with connect(self._engine.endpoint(of), error) as session, told(what, error):
            pin(session)
            session.isolation_level = psycopg.IsolationLevel.REPEATABLE_READ
            session.read_only = True
            yield session


@contextmanager
def _laying(table: TableShape, target: Session) -> Iterator[None]:
    """Whatever ends the block before its commit takes everything back: it is one transaction."""
    try:
        yield
    except psycopg.Error as failure:
        # 'from None': the original holds DETAIL lines, and with them rows of data
        raise LoadError(
            f"the table {table.label} could not be laid: {safe_message(failure)}", hint=NOTHING_LEFT
        ) from None
    finally:
        with suppress(psycopg.Error):
            # a session that is lost was rolled back by its server
            target.rollback()


def _shape(session: Session, schema: str, name: str, size: int, *, partitioned: bool) -> TableShape:
    bare = TableShape(schema, name, {}, (), ())
    relation = _quoted(bare)
    columns: dict[str, str] = dict(session.execute(COLUMNS, (relation,)).fetchall())
    key = tuple(column for (column,) in session.execute(KEY, (relation,)))
    if not partitioned:
        return TableShape(schema, name, columns, key, (bare.label,), size)
    leaves = session.execute(LEAVES, (relation,)).fetchall()
    return TableShape(schema, name, columns, key, tuple(leaf for leaf, _ in leaves), sum(each for _, each in leaves))


@contextmanager
def _alike(source: Session, target: Session) -> Iterator[None]:
    """Both in the encoding of the restored database inside the block: its texts then pass as they are stored."""
    encoding = _one(source, "SHOW server_encoding")[0]
    for session in (source, target):
        session.execute(SPEAK, (encoding,))
    yield
    for session in (source, target):
        session.execute(SPEAK, ("UTF8",))


def _create(target: Session, laid: TableShape, definition: Definition) -> None:
    target.execute(sql.SQL("CREATE TABLE {} ({})").format(_identifier(laid), sql.SQL(", ").join(definition.columns)))
    # rights that the database gives to every new table: what was taken back then may be more than is seen now
    for (grantee,) in target.execute(GRANTEES, (_quoted(laid),)).fetchall():
        whom = sql.SQL("PUBLIC") if grantee is None else sql.Identifier(grantee)
        target.execute(sql.SQL("REVOKE ALL ON {} FROM {}").format(_identifier(laid), whom))


def _copy(source: Session, out: sql.Composed, target: Session, into: sql.Composed, said: Callable[[int], None]) -> None:
    """The rows of one statement into the other, as they come; ``said`` hears how many bytes."""
    done = 0
    with (
        _alike(source, target),
        source.cursor() as reader,
        target.cursor() as writer,
        reader.copy(out) as rows,
        writer.copy(into) as sink,
    ):
        for row in rows:
            sink.write(row)
            done += len(row)
            said(done)


def _finish(target: Session, laid: TableShape, definition: Definition) -> Iterator[str]:
    """Keys, indexes, numbers, comments. Yields what was not possible; the rows are worth more than an index on them."""
    table = _identifier(laid)
    if definition.primary:
        target.execute(sql.SQL("ALTER TABLE {} ADD {}").format(table, sql.SQL(definition.primary)))
    missed = 0
    for index in definition.indexes:
        unique, rest = ("UNIQUE ", index.removeprefix("UNIQUE ")) if index.startswith("UNIQUE ") else ("", index)
        statement = sql.SQL("CREATE {}INDEX ON {} {}").format(sql.SQL(unique), table, sql.SQL(rest))
        try:
            with target.transaction():
                target.execute(statement)
        except (psycopg.errors.UndefinedObject, psycopg.errors.UndefinedFunction, psycopg.errors.InvalidSchemaName):
            missed += 1
    if missed:
        yield f"{missed} indexes, which need what the live database no longer has"
    for column, following in definition.identities:
        restart = sql.SQL("ALTER TABLE {} ALTER COLUMN {} RESTART WITH {}")
        target.execute(restart.format(table, sql.Identifier(column), sql.Literal(following)))
    if definition.comment is not None:
        target.execute(sql.SQL("COMMENT ON TABLE {} IS {}").format(table, sql.Literal(definition.comment)))
    for column, comment in definition.comments:
        place = sql.Identifier(laid.schema, laid.name, column)
        target.execute(sql.SQL("COMMENT ON COLUMN {} IS {}").format(place, sql.Literal(comment)))


def _proof(session: Session, table: TableShape) -> TableProof:
    # in the order of their bytes, as the facts have them
    columns = sorted(table.columns, key=str.encode)
    return TableProof(*fingerprint_of(session, _rows(table), columns))


def _digest(columns: Sequence[str]) -> sql.Composed:
    return sql.SQL(
        "pg_catalog.encode(pg_catalog.substr(pg_catalog.sha256(pg_catalog.convert_to("
        "ROW({})::pg_catalog.text, pg_catalog.getdatabaseencoding()::pg_catalog.name)), 1, 16), 'hex')"
    ).format(sql.SQL(", ").join(sql.Identifier("t", column) for column in columns))


def _rows(table: TableShape) -> sql.Composed:
    """All rows of the table, for FROM: a partitioned one has them in its partitions, another one in itself."""
    if table.parts == (table.label,):
        return own_rows(table.schema, table.name)
    return sql.SQL("{}").format(_identifier(table))


def _identifier(table: TableShape) -> sql.Identifier:
    return sql.Identifier(table.schema, table.name)


def _quoted(table: TableShape) -> str:
    return f"{_name(table.schema)}.{_name(table.name)}"


def _name(name: str) -> str:
    return '"' + name.replace('"', '""') + '"'


def _one(session: Session, query: LiteralString, values: Any = None) -> tuple[Any, ...]:
    row = session.execute(query, values).fetchone()
    assert row is not None
    return row
