"""What is true of a database inside one open view: counts, fingerprints, sequences, roles, settings."""

# ruff: noqa: S608 - only constants of this file are put together to statements

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime, time
from typing import Any, LiteralString
from zoneinfo import ZoneInfo

import psycopg
from psycopg import sql

from drmgr.engines.postgres.connection import Endpoint, Session, told
from drmgr.engines.postgres.query import to_json
from drmgr.engines.postgres.shares import ALL, Question, ask, ranges
from drmgr.engines.postgres.structure import read_structure
from drmgr.errors import SourceError
from drmgr.model import Json

Groups = dict[str, dict[str, Json]]

_OWN_TABLE = """n.nspname !~ '^pg_' AND n.nspname <> 'information_schema' AND NOT EXISTS (
    SELECT FROM pg_catalog.pg_depend d WHERE d.deptype = 'e' AND d.classid = 'pg_catalog.pg_class'::pg_catalog.regclass
    AND d.objid = c.oid
    AND NOT EXISTS (SELECT FROM pg_catalog.pg_extension e WHERE e.oid = d.refobjid AND c.oid = ANY (e.extconfig)))"""
"""User tables, and those of extensions whose rows pg_dump takes along."""

TABLES: LiteralString = f"""
SELECT n.nspname, c.relname, c.relpersistence = 'u' AND (%s OR pg_catalog.pg_is_in_recovery()),
       CASE (SELECT m.amname FROM pg_catalog.pg_am m WHERE m.oid = c.relam) WHEN 'heap'
            THEN coalesce(pg_catalog.pg_relation_size(c.oid), 0) ELSE 0 END,
       array(SELECT a.attname::text FROM pg_catalog.pg_attribute a
             WHERE a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped ORDER BY a.attname::text COLLATE "C")
FROM pg_catalog.pg_class c JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
WHERE c.relkind = 'r' AND c.relpersistence <> 't' AND {_OWN_TABLE} ORDER BY 1, 2"""

SEQUENCES: LiteralString = f"""
SELECT n.nspname, c.relname, s.seqincrement
FROM pg_catalog.pg_sequence s JOIN pg_catalog.pg_class c ON c.oid = s.seqrelid
JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
WHERE c.relpersistence <> 't' AND {_OWN_TABLE} ORDER BY 1, 2"""

EXTENSIONS: LiteralString = "SELECT extname, extversion FROM pg_catalog.pg_extension ORDER BY 1"

ROLES: LiteralString = """
SELECT r.rolname, r.rolsuper, r.rolinherit, r.rolcreaterole, r.rolcreatedb, r.rolcanlogin, r.rolreplication,
       r.rolbypassrls, r.rolconnlimit, r.rolvaliduntil::text,
       array(SELECT c FROM pg_catalog.unnest(r.rolconfig) c ORDER BY c COLLATE "C"),
       array(SELECT g.rolname || CASE WHEN pg_catalog.bool_or(m.admin_option) THEN ' with admin' ELSE '' END
             FROM pg_catalog.pg_auth_members m JOIN pg_catalog.pg_roles g ON g.oid = m.roleid
             WHERE m.member = r.oid GROUP BY g.rolname ORDER BY g.rolname::text COLLATE "C")
FROM pg_catalog.pg_roles r WHERE r.rolname !~ '^pg_' ORDER BY 1"""

ROLE_FIELDS = (
    *("superuser", "inherit", "create_role", "create_database", "login", "replication", "bypass_row_security"),
    *("connection_limit", "valid_until", "settings", "member_of"),
)

SETTINGS: LiteralString = """
SELECT coalesce(r.rolname, '*'), pg_catalog.split_part(c, '=', 1), pg_catalog.substr(c, pg_catalog.strpos(c, '=') + 1)
FROM pg_catalog.pg_db_role_setting s
JOIN pg_catalog.pg_database b ON b.oid = s.setdatabase AND b.datname = pg_catalog.current_database()
LEFT JOIN pg_catalog.pg_roles r ON r.oid = s.setrole
CROSS JOIN pg_catalog.unnest(s.setconfig) c ORDER BY 1, 2"""

LARGE_OBJECTS: LiteralString = """
SELECT m.oid::bigint, pg_catalog.encode(pg_catalog.sha256(piece), 'hex'), pg_catalog.octet_length(piece)
FROM pg_catalog.pg_largeobject_metadata m CROSS JOIN LATERAL (SELECT pg_catalog.lo_get(m.oid, 0, %s) AS piece OFFSET 0) p
ORDER BY m.oid"""

LARGE_OBJECT_PIECE: LiteralString = """
SELECT pg_catalog.encode(pg_catalog.sha256(piece), 'hex'), pg_catalog.octet_length(piece)
FROM (SELECT pg_catalog.lo_get(%s::oid, %s, %s) AS piece OFFSET 0) p"""

PIECE_BYTES = 1024 * 1024


@dataclass(frozen=True)
class Scope:
    """What to look at. ``full`` adds fingerprints of the contents to the counts; ``newest`` are (table, column).

    ``replayed``: the backup comes back by replaying the log, which holds no rows of unlogged tables, and sequences only
    in steps ahead of the values given away.
    """

    full: bool
    newest: Sequence[tuple[str, str]]
    zone: ZoneInfo
    replayed: bool = False


def read_groups(
    session: Session, scope: Scope, low: Mapping[str, int] | None = None, *, endpoint: Endpoint | None = None
) -> Groups:
    """All groups, in the view that ``session`` holds open. Raises SourceError.

    ``endpoint`` is where more sessions may be opened that see the same view and share the work.
    ``low`` are the sequences as they were when the view was opened: sequences know no transactions, so what a dump
    takes of them lies anywhere between then and now.
    """
    with told("the facts could not be read"):
        high = read_sequences(session, ahead=scope.replayed)
        return {
            "server": _server(session),
            "tables": _tables(session, scope, endpoint),
            "sequences": _between(low if low is not None else high, high),
            "extensions": {str(name): version for name, version in session.execute(EXTENSIONS)},
            "roles": {row[0]: dict(zip(ROLE_FIELDS, row[1:], strict=True)) for row in session.execute(ROLES)},
            "structure": read_structure(session),
            "large_objects": _large_objects(session, full=scope.full),
            "newest": {
                f"{table}.{column}": to_json(newest(session, table, column, scope.zone))
                for table, column in scope.newest
            },
            "settings": {f"{role}: {name}": value for role, name, value in session.execute(SETTINGS)},
        }


def _server(session: Session) -> dict[str, Json]:
    major = session.info.server_version // 10000
    # the columns came with PostgreSQL 15 and changed their names with 17
    provider = "d.datlocprovider::text" if major >= 15 else "'c'"  # noqa: PLR2004
    locale = "NULL" if major < 15 else "d.daticulocale" if major < 17 else "d.datlocale"  # noqa: PLR2004
    row = session.execute(
        sql.SQL(
            "SELECT pg_catalog.pg_encoding_to_char(d.encoding), d.datcollate, d.datctype, {}, {} "
            "FROM pg_catalog.pg_database d WHERE d.datname = pg_catalog.current_database()"
        ).format(sql.SQL(provider), sql.SQL(locale))
    ).fetchone()
    if row is None:
        raise SourceError("the server does not describe its own database")
    return {"version": major, **dict(zip(("encoding", "collate", "ctype", "provider", "locale"), row, strict=True))}


def list_tables(session: Session) -> list[tuple[str, str]]:
    """(schema, name) of all tables whose rows are in a dump. Raises psycopg.Error."""
    return [(schema, name) for schema, name, *_ in session.execute(TABLES, (False,))]


def _tables(session: Session, scope: Scope, endpoint: Endpoint | None) -> dict[str, Json]:
    tables = session.execute(TABLES, (scope.replayed,)).fetchall()
    (block,) = _one(session, sql.SQL("SELECT pg_catalog.current_setting('block_size')::int").format())
    questions: dict[str, list[Question]] = {}
    for schema, name, unlogged, size, columns in tables:
        # a count is quick by an index, and a server shares it out by itself
        wanted = ranges(size if scope.full else 0, block, session.info.server_version)
        # unlogged tables have no rows on a standby, and none in its dump
        made = [] if unlogged else [_question(schema, name, columns, where, full=scope.full) for where in wanted]
        questions[f"{schema}.{name}"] = made
    rows = iter(ask(session, [each for made in questions.values() for each in made], endpoint))
    return {name: _item(tuple(next(rows) for _ in made), full=scope.full) for name, made in questions.items()}


def _item(shares: Sequence[tuple[Any, ...]], *, full: bool) -> dict[str, Json]:
    """A table's facts, from those of its shares."""
    count, first, second = (sum(int(share[number]) for share in shares) for number in range(3))
    return {"rows": count, "fingerprint": _fingerprint(first, second)} if full else {"rows": count}


def _question(schema: str, name: str, columns: Sequence[str], where: sql.Composed, *, full: bool) -> Question:
    if full:
        return Question((schema, name), _fingerprint_query(own_rows(schema, name), columns, where))
    query = sql.SQL("SELECT pg_catalog.count(*), 0, 0 FROM {} AS t WHERE {}")
    return Question((schema, name), query.format(own_rows(schema, name), where))


def own_rows(schema: str, name: str) -> sql.Composed:
    """The rows of a table without those of tables that inherit from it, for FROM."""
    return sql.SQL("ONLY {}").format(sql.Identifier(schema, name))


def fingerprint_of(session: Session, rows: sql.Composed, columns: Sequence[str]) -> tuple[int, str]:
    """How many rows, and their fingerprint; ``columns`` by name in the order of their bytes. Raises psycopg.Error."""
    count, first, second = _one(session, _fingerprint_query(rows, columns, ALL))
    return count, _fingerprint(first, second)


def _fingerprint_query(rows: sql.Composed, columns: Sequence[str], where: sql.Composed) -> sql.Composed:
    # columns by name: a restore may order those of an inheriting table anew. OFFSET 0: the text is made once per row.
    return sql.SQL(
        "SELECT pg_catalog.count(*), coalesce(pg_catalog.sum(pg_catalog.hashtextextended(q.r, 20260105)), 0), "
        "coalesce(pg_catalog.sum(pg_catalog.hashtextextended(q.r, 71828182)), 0) "
        'FROM (SELECT ROW({})::pg_catalog.text COLLATE "C" AS r FROM {} AS t WHERE {} OFFSET 0) AS q'
    ).format(sql.SQL(", ").join(sql.Identifier("t", column) for column in columns), rows, where)


def _fingerprint(first: Any, second: Any) -> str:
    """Two sums of row hashes: equal for equal rows in any order, and not blind to a row that is there twice."""
    return f"{int(first) % 2**64:016x}{int(second) % 2**64:016x}"


def together(fingerprints: Sequence[str]) -> str:
    """The fingerprint of all rows of several tables with the same columns."""
    halves = [(int(each[:16], 16), int(each[16:], 16)) for each in fingerprints]
    return _fingerprint(sum(first for first, _ in halves), sum(second for _, second in halves))


def _one(session: Session, query: sql.Composed) -> tuple[Any, ...]:
    row = session.execute(query).fetchone()
    assert row is not None
    return row


def read_sequences(session: Session, *, ahead: bool = False) -> dict[str, int]:
    """The last value each sequence gave away; one step before its start when it gave none. Raises psycopg.Error.

    ``ahead``: the value that the log holds, which is some steps further so that not every value has to be logged.
    """
    values = {}
    for schema, name, increment in session.execute(SEQUENCES).fetchall():
        query = sql.SQL("SELECT last_value, is_called, log_cnt FROM {}").format(sql.Identifier(schema, name))
        last, called, logged = _one(session, query)
        values[f"{schema}.{name}"] = (last if called else last - increment) + (logged * increment if ahead else 0)
    return values


def _between(low: Mapping[str, int], high: Mapping[str, int]) -> dict[str, Json]:
    ends = {name: sorted((low.get(name, value), value)) for name, value in high.items()}
    return {name: {"low": least, "high": most} for name, (least, most) in ends.items()}


def _large_objects(session: Session, *, full: bool) -> dict[str, Json]:
    if not full:
        count = sql.SQL("SELECT pg_catalog.count(*) FROM pg_catalog.pg_largeobject_metadata").format()
        return {"all": {"count": _one(session, count)[0]}}
    digest, number = hashlib.sha256(), 0
    with session.cursor(name="drmgr_large_objects") as cursor:
        cursor.itersize = 100
        cursor.execute(LARGE_OBJECTS, (PIECE_BYTES,))
        for oid, piece, size in cursor:
            number += 1
            digest.update(f"{oid} {piece} {size}\n".encode())
            if size == PIECE_BYTES:
                _rest_of_large_object(session, oid, digest)
    return {"all": {"count": number, "digest": digest.hexdigest()}}


def _rest_of_large_object(session: Session, oid: int, digest: "hashlib._Hash") -> None:
    offset, size = PIECE_BYTES, PIECE_BYTES
    while size == PIECE_BYTES:
        row = session.execute(LARGE_OBJECT_PIECE, (oid, offset, PIECE_BYTES)).fetchone()
        assert row is not None
        piece, size = row
        digest.update(f"{piece} {size}\n".encode())
        offset += size


def table_identifier(table: str) -> sql.Identifier:
    """``schema.table`` as an identifier; ``public`` when no schema is named."""
    schema, _, name = table.rpartition(".")
    return sql.Identifier(schema or "public", name)


def newest(session: Session, table: str, column: str, zone: ZoneInfo) -> datetime | None:
    """The greatest finite value of a date or time column, with its offset; None without rows. Raises SourceError."""
    query = sql.SQL("SELECT pg_catalog.max({0}) FILTER (WHERE pg_catalog.isfinite({0})) FROM {1}").format(
        sql.Identifier(column), table_identifier(table)
    )
    try:
        (value,) = _one(session, query)
    except (psycopg.errors.UndefinedTable, psycopg.errors.UndefinedColumn, psycopg.errors.UndefinedFunction):
        raise SourceError(
            f"the newest row of {table}.{column} cannot be had: no such column of dates or times",
            hint="mend the source's newest list in the job",
        ) from None
    return instant(value, zone) if isinstance(value, date) else None


def instant(value: date, zone: ZoneInfo) -> datetime:
    """The value with its offset. What has no zone is the site's own time; a date alone is that day's first instant."""
    if not isinstance(value, datetime):
        value = datetime.combine(value, time(0))
    return value.replace(tzinfo=zone) if value.tzinfo is None else value.astimezone(zone)
