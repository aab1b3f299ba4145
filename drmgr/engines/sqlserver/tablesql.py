"""Every statement that a single table is looked at, made, filled and named with; see statements.py."""

# ruff: noqa: S608 - names are quoted by bracketed and literal

from collections.abc import Sequence

from drmgr.system.mssql_names import bracketed, literal

SNAPSHOTS = """/* drmgr: snapshots */
SELECT CAST(d.snapshot_isolation_state AS int) AS snapshot_state FROM sys.databases AS d WHERE d.database_id = DB_ID()"""

ONE_VIEW = "/* drmgr: one view */ SET TRANSACTION ISOLATION LEVEL SNAPSHOT"

COLLATION = """/* drmgr: collation */
SELECT d.collation_name FROM sys.databases AS d WHERE d.database_id = DB_ID()"""

HALF_LAID = f"""/* drmgr: half laid */
SELECT s.name AS schema_name, t.name AS table_name
FROM sys.tables AS t JOIN sys.schemas AS s ON s.schema_id = t.schema_id
WHERE t.name LIKE N'drmgr[_]laying[_]{"[0-9a-f]" * 16}'
ORDER BY s.name, t.name"""


def find(asked: str) -> str:
    """Whatever a person may mean by that name: with its schema or without, quoted or not."""
    table, schema = "QUOTENAME(o.name)", "QUOTENAME(s.name)"
    readings = (
        *("o.name", table, "N'\"' + REPLACE(o.name, N'\"', N'\"\"') + N'\"'"),
        *(f"{one} + N'.' + {other}" for one in ("s.name", schema) for other in ("o.name", table)),
    )
    return f"""/* drmgr: find table */
SELECT s.name AS schema_name, o.name AS table_name, RTRIM(o.type) AS kind,
  (SELECT CAST(COALESCE(SUM(a.total_pages), 0) * 8192 AS bigint) FROM sys.partitions AS p
    JOIN sys.allocation_units AS a ON a.container_id IN (p.partition_id, p.hobt_id)
    WHERE p.object_id = o.object_id) AS byte_count
FROM sys.objects AS o JOIN sys.schemas AS s ON s.schema_id = o.schema_id
WHERE o.is_ms_shipped = 0 AND o.type IN ('U', 'V', 'SN', 'SO')
  AND {literal(asked)} IN ({", ".join(readings)})
ORDER BY s.name, o.name"""


def columns_of(schema: str, table: str, *, tells_encryption: bool) -> str:
    """All that makes a column. Servers before 2016 know neither encrypted nor masked ones."""
    encrypted = "CASE WHEN c.encryption_type IS NULL THEN 0 ELSE 1 END" if tells_encryption else "0"
    masked = "CAST(c.is_masked AS int)" if tells_encryption else "0"
    return f"""/* drmgr: columns of a table */
SELECT c.name AS column_name, COALESCE(TYPE_NAME(c.system_type_id), TYPE_NAME(c.user_type_id)) AS type_name,
  CAST(c.max_length AS int) AS max_length, CAST(c.precision AS int) AS precision_digits, CAST(c.scale AS int) AS scale_digits,
  CAST(c.is_nullable AS int) AS is_nullable, c.collation_name, CAST(c.is_column_set AS int) AS is_column_set,
  c.xml_collection_id, {encrypted} AS is_encrypted, {masked} AS is_masked,
  CAST(i.seed_value AS nvarchar(64)) AS identity_seed, CAST(i.increment_value AS nvarchar(64)) AS identity_increment,
  d.definition AS default_definition, m.definition AS computed_definition, CAST(m.is_persisted AS int) AS is_persisted,
  CAST(e.value AS nvarchar(4000)) AS comment
FROM sys.columns AS c
  LEFT JOIN sys.identity_columns AS i ON i.object_id = c.object_id AND i.column_id = c.column_id
  LEFT JOIN sys.default_constraints AS d ON d.object_id = c.default_object_id
  LEFT JOIN sys.computed_columns AS m ON m.object_id = c.object_id AND m.column_id = c.column_id
  LEFT JOIN sys.extended_properties AS e
    ON e.class = 1 AND e.major_id = c.object_id AND e.minor_id = c.column_id AND e.name = N'MS_Description'
WHERE c.object_id = {_object(schema, table)}
ORDER BY c.column_id"""


def indexes_of(schema: str, table: str) -> str:
    return f"""/* drmgr: indexes of a table */
SELECT i.name AS index_name, CAST(i.type AS int) AS type_number, CAST(i.is_unique AS int) AS is_unique,
  CAST(i.is_primary_key AS int) AS is_primary_key, CAST(i.is_disabled AS int) AS is_disabled, i.filter_definition,
  CAST(x.key_ordinal AS int) AS key_ordinal, COL_NAME(x.object_id, x.column_id) AS column_name,
  CAST(x.is_descending_key AS int) AS is_descending_key, CAST(x.is_included_column AS int) AS is_included_column
FROM sys.indexes AS i LEFT JOIN sys.index_columns AS x ON x.object_id = i.object_id AND x.index_id = i.index_id
WHERE i.object_id = {_object(schema, table)} AND i.type > 0 AND i.is_hypothetical = 0
ORDER BY i.index_id, x.key_ordinal, x.index_column_id"""


def rest_of(schema: str, table: str) -> str:
    """What else belongs to a table."""
    id_ = _object(schema, table)
    return f"""/* drmgr: rest of a table */
SELECT (SELECT COUNT(*) FROM sys.triggers AS t WHERE t.parent_id = {id_}) AS trigger_count,
  (SELECT COUNT(*) FROM sys.foreign_keys AS f WHERE f.parent_object_id = {id_}) AS foreign_key_count,
  (SELECT COUNT(*) FROM sys.check_constraints AS k WHERE k.parent_object_id = {id_}) AS check_count,
  (SELECT CAST(e.value AS nvarchar(4000)) FROM sys.extended_properties AS e
    WHERE e.class = 1 AND e.major_id = {id_} AND e.minor_id = 0 AND e.name = N'MS_Description') AS comment"""


def object_id(schema: str, name: str) -> str:
    """The number of whatever has that name; NULL when nothing has it."""
    return f"/* drmgr: object */ SELECT {_object(schema, name)} AS object_id"


def digests(schema: str, table: str, key: str, row: str) -> str:
    """Both for each row, by the texts of its key and of its columns."""
    key_hash, row_hash = (f"SUBSTRING(HASHBYTES('SHA2_256', {text}), 1, 16)" for text in (key, row))
    return f"/* drmgr: digests */ SELECT {key_hash} AS key_hash, {row_hash} AS row_hash FROM {bracketed(schema, table)}"


def read_rows(schema: str, table: str, values: Sequence[str]) -> str:
    return f"/* drmgr: read rows */ SELECT {', '.join(values)} FROM {bracketed(schema, table)}"


def lay_rows(schema: str, table: str, columns: Sequence[str], values: Sequence[str]) -> str:
    """The beginning of the statement: the rows follow, and ``lay_rows_end``. ``values`` are made of v.c1, v.c2, …"""
    names = ", ".join(map(bracketed, columns))
    return f"/* drmgr: lay rows */ INSERT INTO {bracketed(schema, table)} ({names}) SELECT {', '.join(values)} FROM (VALUES "


def lay_rows_end(columns: int) -> str:
    return f") AS v ({', '.join(f'c{number}' for number in range(1, columns + 1))})"


def own_numbers(schema: str, table: str, *, on: bool) -> str:
    """Whether a column that numbers itself takes the numbers that it is given."""
    return f"/* drmgr: own numbers */ SET IDENTITY_INSERT {bracketed(schema, table)} {'ON' if on else 'OFF'}"


def describe(schema: str, table: str, column: str | None, comment: str) -> str:
    """A comment on the table, or on one of its columns."""
    place = f"@level0type = N'SCHEMA', @level0name = {literal(schema)}, @level1type = N'TABLE', @level1name = {literal(table)}"
    if column is not None:
        place += f", @level2type = N'COLUMN', @level2name = {literal(column)}"
    return (
        f"/* drmgr: describe */ EXECUTE sys.sp_addextendedproperty @name = N'MS_Description', @value = {literal(comment)}, "
        f"{place}"
    )


def rename(schema: str, table: str, name: str) -> str:
    old = literal(bracketed(schema, table))
    return (
        f"/* drmgr: rename */ EXECUTE sys.sp_rename @objname = {old}, @newname = {literal(name)}, @objtype = 'OBJECT'"
    )


def drop_table(schema: str, table: str) -> str:
    there = f"OBJECT_ID({literal(bracketed(schema, table))}, N'U') IS NOT NULL"
    return f"/* drmgr: drop table */ IF {there} DROP TABLE {bracketed(schema, table)}"


def hold(name: str) -> str:
    """Takes the lock of that name until the session ends; below 0 when somebody else has it."""
    return f"""/* drmgr: hold */
DECLARE @held int; EXECUTE @held = sys.sp_getapplock @Resource = {literal(name)}, @LockMode = N'Exclusive',
  @LockOwner = N'Session', @LockTimeout = 0; SELECT @held AS held"""


def is_free(name: str) -> str:
    """Whether nobody holds that lock."""
    return f"/* drmgr: is free */ SELECT APPLOCK_TEST(N'public', {literal(name)}, N'Exclusive', N'Session') AS free"


def _object(schema: str, name: str) -> str:
    return f"OBJECT_ID({literal(bracketed(schema, name))})"
