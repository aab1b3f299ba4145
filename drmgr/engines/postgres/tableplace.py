"""What puts a laid PostgreSQL table in the place of one that is gone: its name, and all that does not come along with rows."""

from typing import LiteralString

from psycopg import sql

from drmgr.engines.postgres.connection import Session
from drmgr.model import TableShape

# each text has its names quoted by the server, which speaks of the table by the name that it had
SEQUENCES: LiteralString = """
SELECT pg_catalog.format('CREATE SEQUENCE IF NOT EXISTS %%s;', s.seq),
       pg_catalog.format('ALTER SEQUENCE %%s OWNED BY %%s.%%I;', s.seq, c.name, s.column),
       pg_catalog.format('SELECT pg_catalog.setval(%%L, coalesce(max(%%I), 1)) FROM %%s;', s.seq, s.column, c.name)
FROM (SELECT %(table)s::text AS name) c CROSS JOIN LATERAL (
  SELECT a.attname AS column, pg_catalog.pg_get_serial_sequence(c.name, a.attname::text) AS seq
  FROM pg_catalog.pg_attribute a
  WHERE a.attrelid = %(table)s::pg_catalog.regclass AND a.attnum > 0 AND NOT a.attisdropped AND a.attidentity = '') s
WHERE s.seq IS NOT NULL ORDER BY 1"""

DRAWN: LiteralString = """
SELECT pg_catalog.format('ALTER TABLE %%s ALTER COLUMN %%I SET DEFAULT %%s;', %(table)s::text, a.attname,
                         pg_catalog.pg_get_expr(d.adbin, d.adrelid))
FROM pg_catalog.pg_attrdef d
JOIN pg_catalog.pg_attribute a ON a.attrelid = d.adrelid AND a.attnum = d.adnum AND a.attgenerated = ''
WHERE d.adrelid = %(table)s::pg_catalog.regclass
  AND EXISTS (SELECT FROM pg_catalog.pg_depend x JOIN pg_catalog.pg_class s ON s.oid = x.refobjid AND s.relkind = 'S'
              WHERE x.classid = 'pg_catalog.pg_attrdef'::pg_catalog.regclass AND x.objid = d.oid
                AND x.refclassid = 'pg_catalog.pg_class'::pg_catalog.regclass)
ORDER BY a.attnum"""

CONSTRAINTS: LiteralString = """
SELECT pg_catalog.format('ALTER TABLE %%s ADD CONSTRAINT %%I %%s;', conrelid::pg_catalog.regclass, conname,
                         pg_catalog.pg_get_constraintdef(oid))
FROM pg_catalog.pg_constraint
WHERE conparentid = 0 AND (conrelid = %(table)s::pg_catalog.regclass AND contype IN ('f', 'c', 'x')
   -- those of other tables went with the table that they spoke of
   OR confrelid = %(table)s::pg_catalog.regclass AND contype = 'f' AND conrelid <> confrelid)
ORDER BY contype <> 'c', conrelid <> %(table)s::pg_catalog.regclass, conname"""

TRIGGERS: LiteralString = """
SELECT pg_catalog.pg_get_triggerdef(oid) || ';' FROM pg_catalog.pg_trigger
WHERE tgrelid = %(table)s::pg_catalog.regclass AND NOT tgisinternal ORDER BY tgname"""

POLICIES: LiteralString = """
SELECT pg_catalog.format('CREATE POLICY %%I ON %%s AS %%s FOR %%s TO %%s%%s%%s;', p.polname, %(table)s::text,
         CASE WHEN p.polpermissive THEN 'PERMISSIVE' ELSE 'RESTRICTIVE' END,
         CASE p.polcmd WHEN 'r' THEN 'SELECT' WHEN 'a' THEN 'INSERT' WHEN 'w' THEN 'UPDATE' WHEN 'd' THEN 'DELETE' ELSE 'ALL' END,
         (SELECT pg_catalog.string_agg(CASE WHEN r = 0 THEN 'PUBLIC'
                   ELSE pg_catalog.quote_ident(pg_catalog.pg_get_userbyid(r)) END, ', ') FROM pg_catalog.unnest(p.polroles) r),
         ' USING (' || pg_catalog.pg_get_expr(p.polqual, p.polrelid) || ')',
         ' WITH CHECK (' || pg_catalog.pg_get_expr(p.polwithcheck, p.polrelid) || ')')
FROM pg_catalog.pg_policy p WHERE p.polrelid = %(table)s::pg_catalog.regclass
UNION ALL SELECT pg_catalog.format('ALTER TABLE %%s ENABLE ROW LEVEL SECURITY;', %(table)s::text)
FROM pg_catalog.pg_class WHERE oid = %(table)s::pg_catalog.regclass AND relrowsecurity
UNION ALL SELECT pg_catalog.format('ALTER TABLE %%s FORCE ROW LEVEL SECURITY;', %(table)s::text)
FROM pg_catalog.pg_class WHERE oid = %(table)s::pg_catalog.regclass AND relforcerowsecurity"""

OWNER: LiteralString = """
SELECT pg_catalog.format('ALTER TABLE %%s OWNER TO %%I;', %(table)s::text, pg_catalog.pg_get_userbyid(relowner))
FROM pg_catalog.pg_class WHERE oid = %(table)s::pg_catalog.regclass"""

GRANTS: LiteralString = """
SELECT pg_catalog.format('GRANT %%s ON TABLE %%s TO %%s%%s;', pg_catalog.string_agg(x.what, ', ' ORDER BY x.what),
         %(table)s::text, CASE WHEN x.grantee = 0 THEN 'PUBLIC'
           ELSE pg_catalog.quote_ident(pg_catalog.pg_get_userbyid(x.grantee)) END,
         CASE WHEN x.is_grantable THEN ' WITH GRANT OPTION' ELSE '' END)
FROM (
  SELECT a.privilege_type AS what, a.grantee, a.is_grantable
  FROM pg_catalog.pg_class c CROSS JOIN LATERAL pg_catalog.aclexplode(c.relacl) a
  WHERE c.oid = %(table)s::pg_catalog.regclass AND a.grantee <> c.relowner
  UNION ALL
  SELECT pg_catalog.format('%%s (%%I)', a.privilege_type, t.attname), a.grantee, a.is_grantable
  FROM pg_catalog.pg_attribute t CROSS JOIN LATERAL pg_catalog.aclexplode(t.attacl) a
  WHERE t.attrelid = %(table)s::pg_catalog.regclass AND t.attnum > 0 AND NOT t.attisdropped) x
GROUP BY x.grantee, x.is_grantable ORDER BY 1"""


LEFT = (
    "-- not among these: rules, its place in publications, the type of its sequences, and the names of its indexes; "
    "compare with the restored one: \\d+ {table}"
)


def into_place(session: Session, table: TableShape, laid: TableShape) -> tuple[str, ...]:
    """``session`` is in the restored database, which has the table as it was. Raises psycopg.Error."""
    name = sql.Identifier(table.schema, table.name).as_string(session)
    where = {"table": name}
    own, bare = sql.Identifier(laid.schema, laid.name).as_string(session), sql.Identifier(table.name).as_string(session)
    found = [f"ALTER TABLE {own} RENAME TO {bare};"]
    sequences = session.execute(SEQUENCES, where).fetchall()
    found += [made for made, _, _ in sequences]
    for query in (DRAWN, CONSTRAINTS, TRIGGERS, POLICIES, OWNER, GRANTS):
        found += [str(statement) for (statement,) in session.execute(query, where).fetchall()]
    found += [statement for _, owned, counted in sequences for statement in (owned, counted)]
    return (*found, LEFT.format(table=bare))
