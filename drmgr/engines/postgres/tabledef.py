"""How a PostgreSQL table is defined, in texts from which one of the same kind can be made under another name."""

# ruff: noqa: S608 - the one name in a statement is quoted by the server

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final, LiteralString

from psycopg import sql

from drmgr.engines.postgres.connection import Session
from drmgr.errors import SourceError

COLUMNS: LiteralString = """
SELECT a.attname::text, pg_catalog.format_type(a.atttypid, a.atttypmod),
       CASE WHEN a.attcollation <> t.typcollation THEN pg_catalog.quote_ident(ln.nspname) || '.' ||
         pg_catalog.quote_ident(l.collname) END,
       a.attnotnull, a.attidentity::text, a.attgenerated::text, pg_catalog.pg_get_expr(d.adbin, d.adrelid),
       EXISTS (SELECT FROM pg_catalog.pg_depend x JOIN pg_catalog.pg_class s ON s.oid = x.refobjid AND s.relkind = 'S'
               WHERE x.classid = 'pg_catalog.pg_attrdef'::pg_catalog.regclass AND x.objid = d.oid
                 AND x.refclassid = 'pg_catalog.pg_class'::pg_catalog.regclass),
       pg_catalog.col_description(a.attrelid, a.attnum), pg_catalog.pg_get_serial_sequence(%s, a.attname::text)
FROM pg_catalog.pg_attribute a
JOIN pg_catalog.pg_type t ON t.oid = a.atttypid
LEFT JOIN pg_catalog.pg_attrdef d ON d.adrelid = a.attrelid AND d.adnum = a.attnum
LEFT JOIN pg_catalog.pg_collation l ON l.oid = a.attcollation
LEFT JOIN pg_catalog.pg_namespace ln ON ln.oid = l.collnamespace
WHERE a.attrelid = %s::pg_catalog.regclass AND a.attnum > 0 AND NOT a.attisdropped ORDER BY a.attnum"""

INDEXES: LiteralString = """
SELECT c.relname::text, i.indisprimary, i.indisunique,
       CASE WHEN i.indisprimary THEN pg_catalog.pg_get_constraintdef(k.oid) ELSE pg_catalog.pg_get_indexdef(i.indexrelid) END,
       'CREATE ' || CASE WHEN i.indisunique THEN 'UNIQUE ' ELSE '' END || 'INDEX ' || pg_catalog.quote_ident(c.relname) ||
         ' ON ' || CASE WHEN t.relkind = 'p' THEN 'ONLY ' ELSE '' END || pg_catalog.quote_ident(n.nspname) || '.' ||
         pg_catalog.quote_ident(t.relname) || ' '
FROM pg_catalog.pg_index i
JOIN pg_catalog.pg_class c ON c.oid = i.indexrelid
JOIN pg_catalog.pg_class t ON t.oid = i.indrelid
JOIN pg_catalog.pg_namespace n ON n.oid = t.relnamespace
LEFT JOIN pg_catalog.pg_constraint k ON k.conindid = i.indexrelid AND k.contype = 'p'
WHERE i.indrelid = %s::pg_catalog.regclass AND (i.indisvalid OR t.relkind = 'p') AND NOT i.indisexclusion
ORDER BY i.indisprimary DESC, c.relname"""

OTHERS: LiteralString = """
SELECT (SELECT pg_catalog.count(*) FROM pg_catalog.pg_trigger WHERE tgrelid = c.oid AND NOT tgisinternal),
       (SELECT pg_catalog.count(*) FROM pg_catalog.pg_constraint WHERE conrelid = c.oid AND contype = 'f'),
       (SELECT pg_catalog.count(*) FROM pg_catalog.pg_constraint WHERE conrelid = c.oid AND contype IN ('c', 'x')),
       pg_catalog.obj_description(c.oid, 'pg_class')
FROM pg_catalog.pg_class c WHERE c.oid = %s::pg_catalog.regclass"""

IDENTITY: LiteralString = """
SELECT s.seqstart, s.seqincrement, s.seqmin, s.seqmax, s.seqcycle FROM pg_catalog.pg_sequence s
WHERE s.seqrelid = %s::pg_catalog.regclass"""

_IDENTITIES: Final = {"a": "ALWAYS", "d": "BY DEFAULT"}
_GENERATED: Final = {"s": "STORED", "v": "VIRTUAL"}


@dataclass(frozen=True)
class Definition:
    """What makes a table. ``copied`` are the columns that rows bring; the others are computed."""

    columns: tuple[sql.Composed, ...]
    copied: tuple[str, ...]
    primary: str
    """``PRIMARY KEY (…)``, empty without one."""
    indexes: tuple[str, ...]
    """What follows the table's name in each CREATE INDEX, ``UNIQUE`` before it where it is."""
    comment: str | None
    comments: tuple[tuple[str, str], ...]
    identities: tuple[tuple[str, int], ...]
    """The columns that number themselves, and the next number."""
    left_out: tuple[str, ...]


def read_definition(session: Session, relation: str) -> Definition:
    """``relation`` is quoted and has its schema. Raises psycopg.Error."""
    columns: list[sql.Composed] = []
    identities, comments, copied, left_out = [], [], [], []
    for row in session.execute(COLUMNS, (relation, relation)).fetchall():
        name, _, _, _, identity, generated, default, draws, comment, sequence = row
        if draws and not generated:
            left_out.append(f"default of {name}, which draws from a sequence")
            default = None
        options = None
        if identity and sequence:
            options, following = _identity(session, sequence)
            identities.append((name, following))
        columns.append(_column(row[:6], default, options))
        if not generated:
            copied.append(name)
        if comment is not None:
            comments.append((name, comment))
    primary, indexes = _indexes(session, relation)
    described = session.execute(OTHERS, (relation,)).fetchone()
    assert described is not None
    *counts, comment = described
    kinds = ("triggers", "foreign keys", "check and exclusion constraints")
    left_out += [f"{count} {kind}" for kind, count in zip(kinds, counts, strict=True) if count]
    return Definition(
        tuple(columns), tuple(copied), primary, indexes, comment, tuple(comments), tuple(identities), tuple(left_out)
    )


def _column(row: Sequence[Any], default: str | None, options: sql.Composed | None) -> sql.Composed:
    name, kind, collation, not_null, identity, generated = row
    # the server wrote these texts itself, quotes and all
    parts = [sql.Identifier(name), sql.SQL(kind)]
    if collation:
        parts.append(sql.SQL(f"COLLATE {collation}"))
    if generated:
        parts.append(sql.SQL(f"GENERATED ALWAYS AS ({default}) {_GENERATED[generated]}"))
    elif default is not None:
        parts.append(sql.SQL(f"DEFAULT {default}"))
    if identity and options is not None:
        parts += [sql.SQL(f"GENERATED {_IDENTITIES[identity]} AS IDENTITY"), options]
    if not_null:
        parts.append(sql.SQL("NOT NULL"))
    return sql.SQL(" ").join(parts)


def _identity(session: Session, sequence: str) -> tuple[sql.Composed, int]:
    row = session.execute(IDENTITY, (sequence,)).fetchone()
    state = session.execute(sql.SQL(f"SELECT last_value, is_called FROM {sequence}")).fetchone()
    assert row is not None
    assert state is not None
    start, increment, least, most, cycle = row
    options = sql.SQL("(START WITH {} INCREMENT BY {} MINVALUE {} MAXVALUE {} {})").format(
        *map(sql.Literal, (start, increment, least, most)), sql.SQL("CYCLE" if cycle else "NO CYCLE")
    )
    following = state[0] + increment if state[1] else state[0]
    return options, min(max(following, least), most)


def _indexes(session: Session, relation: str) -> tuple[str, tuple[str, ...]]:
    primary, found = "", []
    for name, is_primary, unique, text, prefix in session.execute(INDEXES, (relation,)).fetchall():
        if is_primary:
            primary = text
        elif text.startswith(prefix):
            found.append(("UNIQUE " if unique else "") + text.removeprefix(prefix))
        else:
            raise SourceError(f"the definition of the index {name} cannot be read")
    return primary, tuple(found)
