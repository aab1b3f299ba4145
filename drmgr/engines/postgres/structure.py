"""Digests of a database's definitions, in texts that stay equal through a dump and its restore."""

# ruff: noqa: S608 - only constants of this file are put together to statements

import hashlib
import re
from collections.abc import Mapping
from typing import LiteralString

from drmgr.engines.postgres.connection import Session
from drmgr.model import Json

_USER = "n.nspname !~ '^pg_' AND n.nspname <> 'information_schema'"
_OWN = (
    "NOT EXISTS (SELECT FROM pg_catalog.pg_depend d WHERE d.deptype = 'e' "
    "AND d.classid = '{catalog}'::pg_catalog.regclass AND d.objid = {oid})"
)
_OWN_TABLE = _OWN.replace("{catalog}", "pg_catalog.pg_class").replace("{oid}", "c.oid")

COLUMNS: LiteralString = f"""
SELECT pg_catalog.concat_ws('.', n.nspname, c.relname, a.attname),
       pg_catalog.concat_ws('|', c.relkind, pg_catalog.format_type(a.atttypid, a.atttypmod), a.attnotnull, a.attidentity,
         a.attgenerated, l.collname), pg_catalog.pg_get_expr(f.adbin, f.adrelid)
FROM pg_catalog.pg_class c
JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
JOIN pg_catalog.pg_attribute a ON a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped
LEFT JOIN pg_catalog.pg_attrdef f ON f.adrelid = c.oid AND f.adnum = a.attnum
LEFT JOIN pg_catalog.pg_collation l ON l.oid = a.attcollation
WHERE c.relkind IN ('r', 'p', 'v', 'm', 'f', 'c') AND c.relpersistence <> 't' AND {_USER} AND {_OWN_TABLE}"""

INDEXES: LiteralString = f"""
SELECT pg_catalog.concat_ws('.', n.nspname, c.relname), '', pg_catalog.pg_get_indexdef(i.indexrelid)
FROM pg_catalog.pg_index i
JOIN pg_catalog.pg_class c ON c.oid = i.indexrelid
JOIN pg_catalog.pg_class t ON t.oid = i.indrelid
JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
WHERE (i.indisvalid OR t.relkind = 'p') AND c.relpersistence <> 't' AND {_USER} AND {_OWN_TABLE}"""

CONSTRAINTS: LiteralString = f"""
SELECT pg_catalog.concat_ws('.', n.nspname, coalesce(c.relname, y.typname), k.conname), k.contype::text,
       pg_catalog.pg_get_constraintdef(k.oid)
FROM pg_catalog.pg_constraint k
JOIN pg_catalog.pg_namespace n ON n.oid = k.connamespace
LEFT JOIN pg_catalog.pg_class c ON c.oid = k.conrelid
LEFT JOIN pg_catalog.pg_type y ON y.oid = k.contypid
WHERE k.contype <> 'n' AND NOT (k.contype = 'f' AND k.conparentid <> 0)
  AND coalesce(c.relpersistence, 'p') <> 't' AND {_USER} AND {_OWN_TABLE}"""

VIEWS: LiteralString = f"""
SELECT pg_catalog.concat_ws('.', n.nspname, c.relname), c.relkind::text, pg_catalog.pg_get_viewdef(c.oid)
FROM pg_catalog.pg_class c JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
WHERE c.relkind IN ('v', 'm') AND c.relpersistence <> 't' AND {_USER} AND {_OWN_TABLE}"""

FUNCTIONS: LiteralString = f"""
SELECT pg_catalog.concat_ws('.', n.nspname, p.proname) || '(' || pg_catalog.pg_get_function_identity_arguments(p.oid) || ')',
       CASE WHEN p.prokind = 'a' THEN 'aggregate' ELSE pg_catalog.pg_get_functiondef(p.oid) END, NULL
FROM pg_catalog.pg_proc p JOIN pg_catalog.pg_namespace n ON n.oid = p.pronamespace
WHERE {_USER} AND {_OWN.replace("{catalog}", "pg_catalog.pg_proc").replace("{oid}", "p.oid")}"""

TRIGGERS: LiteralString = f"""
SELECT pg_catalog.concat_ws('.', n.nspname, c.relname, g.tgname), g.tgenabled::text, pg_catalog.pg_get_triggerdef(g.oid)
FROM pg_catalog.pg_trigger g
JOIN pg_catalog.pg_class c ON c.oid = g.tgrelid
JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
WHERE NOT g.tgisinternal AND c.relpersistence <> 't' AND {_USER} AND {_OWN_TABLE}"""

POLICIES: LiteralString = f"""
SELECT pg_catalog.concat_ws('.', n.nspname, c.relname, o.polname),
       pg_catalog.concat_ws('|', c.relrowsecurity, c.relforcerowsecurity, o.polcmd, o.polpermissive,
         (SELECT string_agg(r.rolname::text, ',' ORDER BY r.rolname::text COLLATE "C")
          FROM pg_catalog.pg_roles r WHERE r.oid = ANY (o.polroles))),
       pg_catalog.concat_ws('|', pg_catalog.pg_get_expr(o.polqual, c.oid), pg_catalog.pg_get_expr(o.polwithcheck, c.oid))
FROM pg_catalog.pg_class c
JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
LEFT JOIN pg_catalog.pg_policy o ON o.polrelid = c.oid
WHERE (c.relrowsecurity OR o.oid IS NOT NULL) AND {_USER} AND {_OWN_TABLE}"""

TYPES: LiteralString = f"""
SELECT pg_catalog.concat_ws('.', n.nspname, t.typname), t.typtype::text || coalesce(
         (SELECT string_agg(e.enumlabel::text, ',' ORDER BY e.enumsortorder)
          FROM pg_catalog.pg_enum e WHERE e.enumtypid = t.oid),
         pg_catalog.format_type(t.typbasetype, t.typtypmod) || t.typnotnull, ''), t.typdefault
FROM pg_catalog.pg_type t JOIN pg_catalog.pg_namespace n ON n.oid = t.typnamespace
WHERE t.typtype IN ('e', 'd', 'r') AND {_USER}
  AND {_OWN.replace("{catalog}", "pg_catalog.pg_type").replace("{oid}", "t.oid")}"""

PRIVILEGES: LiteralString = f"""
SELECT pg_catalog.concat_ws('.', n.nspname, c.relname), pg_catalog.pg_get_userbyid(c.relowner)::text,
       (SELECT string_agg(DISTINCT pg_catalog.concat_ws(' ', CASE WHEN x.grantee = 0 THEN 'PUBLIC' ELSE
            pg_catalog.pg_get_userbyid(x.grantee)::text END, x.privilege_type, x.is_grantable) COLLATE "C", ',')
        FROM pg_catalog.aclexplode(coalesce(c.relacl, pg_catalog.acldefault(
            CASE WHEN c.relkind = 'S' THEN 's' ELSE 'r' END::"char", c.relowner))) x)
FROM pg_catalog.pg_class c JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
WHERE c.relkind IN ('r', 'p', 'v', 'm', 'S', 'f') AND c.relpersistence <> 't' AND {_USER} AND {_OWN_TABLE}"""

DEFINITIONS: Mapping[str, LiteralString] = {
    "columns": COLUMNS,
    "indexes": INDEXES,
    "constraints": CONSTRAINTS,
    "views": VIEWS,
    "functions": FUNCTIONS,
    "triggers": TRIGGERS,
    "policies": POLICIES,
    "types": TYPES,
    "privileges": PRIVILEGES,
}
"""Each gives rows of a unique key, a text compared as it is, and an expression compared in its plain form (or NULL)."""


def read_structure(session: Session) -> dict[str, Json]:
    """``{kind: {"count", "digest"}}`` of all definitions. Raises psycopg.Error.

    Materialised views are here with their definition; their rows are not fingerprinted, because a restore computes them
    anew instead of bringing them back.
    """
    return {kind: _digest(session, kind, statement) for kind, statement in DEFINITIONS.items()}


def _digest(session: Session, kind: str, statement: LiteralString) -> Json:
    digest, count = hashlib.sha256(), 0
    with session.cursor(name=f"drmgr_{kind}") as cursor:
        cursor.execute(f'SELECT * FROM ({statement}) AS q(k, d, e) ORDER BY k COLLATE "C", d COLLATE "C"')
        for key, definition, expression in cursor:
            plain = plain_expression(expression) if expression is not None else ""
            digest.update("\x00".join((key, definition or "", plain, "\n")).encode())
            count += 1
    return {"count": count, "digest": digest.hexdigest()}


_LITERAL = re.compile(r"('(?:[^']|'')*')")
_CAST = re.compile(
    r'::(?:"[^"]+"|[a-z_][a-z0-9_]*)(?:\.(?:"[^"]+"|[a-z_][a-z0-9_]*))?(?: varying| precision)?'
    r"(?:\(\d+(?:,\s*-?\d+)?\))?(?: with(?:out)? time zone)?(?:\[\])*"
)


def plain_expression(text: str) -> str:
    """The expression without casts, brackets and spaces outside of string literals.

    PostgreSQL prints some expressions differently once they went through a dump: ``code IN ('a', 'b')`` over a varchar
    column moves its casts into the array. What is left here is equal before and after.
    """
    pieces = _LITERAL.split(text)
    return "".join(
        piece if index % 2 else re.sub(r"[\s()]+", "", _CAST.sub("", piece)) for index, piece in enumerate(pieces)
    )
