"""Every statement that goes to SQL Server, as a person could run it by hand. Nothing else is ever sent.

Each begins with a comment that names it, so that an administrator who watches the server knows what it is.
"""

# ruff: noqa: S608, PLC0414 - names are quoted by bracketed and literal

from collections.abc import Mapping, Sequence

from drmgr.system.mssql_names import Device, bracketed, literal
from drmgr.system.mssql_server import SERVER as SERVER
from drmgr.system.mssql_server import drop as drop

NOW = (
    "/* drmgr: now */ SELECT SYSUTCDATETIME() AS utc_now, DATEPART(TZOFFSET, SYSDATETIMEOFFSET()) AS utc_offset_minutes"
)


def database(name: str) -> str:
    """What the server says of one database; no row when there is none."""
    return f"""/* drmgr: database */
SELECT d.name, d.state_desc, d.recovery_model_desc, d.collation_name, CAST(d.compatibility_level AS int) AS compatibility_level,
  d.containment_desc, d.is_read_only, CAST(r.family_guid AS nvarchar(36)) AS family_guid,
  CAST(r.recovery_fork_guid AS nvarchar(36)) AS recovery_fork_guid, r.last_log_backup_lsn,
  CAST(sys.fn_hadr_is_primary_replica(d.name) AS int) AS is_primary,
  CAST(sys.fn_hadr_backup_is_preferred_replica(d.name) AS int) AS is_preferred
FROM sys.databases AS d LEFT JOIN sys.database_recovery_status AS r ON r.database_id = d.database_id
WHERE d.name = {literal(name)}"""


def rights(name: str) -> str:
    """What drmgr's login may do."""
    db = literal(bracketed(name))
    return f"""/* drmgr: rights */
SELECT HAS_PERMS_BY_NAME({db}, N'DATABASE', N'BACKUP DATABASE') AS backup_database,
  HAS_PERMS_BY_NAME({db}, N'DATABASE', N'BACKUP LOG') AS backup_log,
  HAS_PERMS_BY_NAME({db}, N'DATABASE', N'SELECT') AS select_all,
  HAS_PERMS_BY_NAME({db}, N'DATABASE', N'VIEW DEFINITION') AS view_definition,
  HAS_PERMS_BY_NAME(NULL, NULL, N'CREATE ANY DATABASE') AS create_any_database,
  HAS_PERMS_BY_NAME(NULL, NULL, N'VIEW SERVER STATE') AS view_server_state,
  HAS_PERMS_BY_NAME(NULL, NULL, N'ALTER ANY CREDENTIAL') AS alter_any_credential"""


def file_exists(path: str) -> str:
    """Whether the server itself sees a file."""
    return f"/* drmgr: file exists */ EXECUTE master.dbo.xp_fileexist {literal(path)}"


# --- backups ---


def credentials(names: Sequence[str]) -> str:
    """Those of these names that the server has. Their secrets are nobody's to read."""
    listed = ", ".join(map(literal, names))
    return (
        "/* drmgr: credentials */ SELECT c.name, c.credential_identity FROM sys.credentials AS c "
        f"WHERE c.name IN ({listed}) ORDER BY LEN(c.name) DESC"
    )


def backup(kind: str, name: str, device: Device, options: Sequence[str], *, label: str, note: str) -> str:
    """``kind`` is full, differential or log. The label and the note are found again in the file's header."""
    what = "LOG" if kind == "log" else "DATABASE"
    differential = ("DIFFERENTIAL",) if kind == "differential" else ()
    fixed = (*device.writing, *(device.compressing if "COMPRESSION" in options else ()), "STATS = 1")
    named = (f"NAME = {literal(label)}", f"DESCRIPTION = {literal(note)}")
    chosen = ", ".join((*differential, *options, *fixed, *named))
    return f"/* drmgr: backup */ BACKUP {what} {bracketed(name)} TO {device.text} WITH {chosen}"


def header_only(device: Device) -> str:
    """What the file itself says it is."""
    return f"/* drmgr: header */ RESTORE HEADERONLY FROM {device.text}{_with(device)}"


def file_list_only(device: Device) -> str:
    """The files of the database inside."""
    return f"/* drmgr: file list */ RESTORE FILELISTONLY FROM {device.text}{_with(device)}"


def verify_only(device: Device) -> str:
    """Reads all of the file and its checksums."""
    return f"/* drmgr: verify */ RESTORE VERIFYONLY FROM {device.text}{_with(device, 'CHECKSUM')}"


def _with(device: Device, *options: str) -> str:
    chosen = (*options, *device.reading)
    return f" WITH {', '.join(chosen)}" if chosen else ""


def log_backups_between(name: str, first: int, last: int) -> str:
    """Who else took log backups there, oldest first."""
    return f"""/* drmgr: log backups of others */
SELECT TOP (5) b.first_lsn, b.last_lsn, b.backup_finish_date, b.user_name, f.physical_device_name
FROM msdb.dbo.backupset AS b JOIN msdb.dbo.backupmediafamily AS f ON f.media_set_id = b.media_set_id
WHERE b.database_name = {literal(name)} AND b.type = 'L' AND b.is_copy_only = 0 AND b.last_lsn > {first} AND b.first_lsn < {last}
ORDER BY b.first_lsn"""


# --- restores ---


def restore_database(name: str, device: Device, moves: Mapping[str, str]) -> str:
    """The base, or a differential on top when there is nothing to move; more may follow."""
    moved = (f"MOVE {literal(logical)} TO {literal(path)}" for logical, path in moves.items())
    how = _with(device, "NORECOVERY", "CHECKSUM", "STATS = 1", *moved)
    return f"/* drmgr: restore */ RESTORE DATABASE {bracketed(name)} FROM {device.text}{how}"


def restore_log(name: str, device: Device, stop: str = "") -> str:
    """One log. With a stop the server ends the restore if, and only if, it comes to it in this log."""
    how = _with(device, *(("RECOVERY", stop) if stop else ("NORECOVERY",)), "CHECKSUM", "STATS = 1")
    return f"/* drmgr: restore log */ RESTORE LOG {bracketed(name)} FROM {device.text}{how}"


def stop_at(local_time: str) -> str:
    """The server's own local time, without a zone."""
    return f"STOPAT = {literal(local_time)}"


def stop_at_position(position: int) -> str:
    """A log sequence number."""
    return f"STOPATMARK = {literal(f'lsn:{position}')}"


def recover(name: str) -> str:
    """Ends the restore: nothing more can follow."""
    return f"/* drmgr: recover */ RESTORE DATABASE {bracketed(name)} WITH RECOVERY"


def free_space(folder: str) -> str:
    """Bytes that are free where the server keeps a folder, for as far as one of its databases lies there."""
    return f"""/* drmgr: free space */
SELECT TOP (1) v.volume_mount_point, v.available_bytes
FROM sys.master_files AS f CROSS APPLY sys.dm_os_volume_stats(f.database_id, f.file_id) AS v
WHERE CHARINDEX(v.volume_mount_point, {literal(folder)}) = 1
ORDER BY LEN(v.volume_mount_point) DESC"""


def files(name: str) -> str:
    """Where the server keeps the files of a database, by their names inside of it."""
    return f"""/* drmgr: files */
SELECT f.name AS logical_name, f.physical_name FROM sys.master_files AS f WHERE f.database_id = DB_ID({literal(name)})"""


def occupied(name: str) -> str:
    """How many objects of its users a database holds."""
    db = bracketed(name)
    return f"/* drmgr: occupied */ SELECT COUNT(*) AS objects FROM {db}.sys.objects AS o WHERE o.is_ms_shipped = 0"


def check(name: str) -> str:
    """As rows, and with the summary, for silence would be no proof that anything was checked."""
    return f"/* drmgr: check */ DBCC CHECKDB ({literal(name)}) WITH TABLERESULTS, ALL_ERRORMSGS"


# --- facts ---

TABLES = """/* drmgr: tables */
SELECT s.name AS schema_name, t.name AS table_name
FROM sys.tables AS t JOIN sys.schemas AS s ON s.schema_id = t.schema_id
WHERE t.is_ms_shipped = 0
ORDER BY s.name, t.name"""


def columns(*, tells_encryption: bool) -> str:
    """The columns of all tables. Servers before 2016 do not know encrypted ones."""
    encrypted = "CASE WHEN c.encryption_type IS NULL THEN 0 ELSE 1 END" if tells_encryption else "0"
    return f"""/* drmgr: columns */
SELECT s.name AS schema_name, t.name AS table_name, c.name AS column_name,
  COALESCE(TYPE_NAME(c.system_type_id), TYPE_NAME(c.user_type_id)) AS type_name, CAST(c.max_length AS int) AS max_length,
  CAST(c.is_computed AS int) AS is_computed, CAST(c.is_column_set AS int) AS is_column_set, {encrypted} AS is_encrypted
FROM sys.columns AS c JOIN sys.tables AS t ON t.object_id = c.object_id JOIN sys.schemas AS s ON s.schema_id = t.schema_id
WHERE t.is_ms_shipped = 0
ORDER BY s.name, t.name, c.column_id"""


def count(schema: str, table: str) -> str:
    return f"/* drmgr: count */ SELECT COUNT_BIG(*) AS row_count FROM {bracketed(schema, table)}"


def fingerprint(schema: str, table: str, row: str) -> str:
    """The count, and two sums of 56 bits each over the SHA-256 of every row: the same in any order of the rows."""
    parts = ("1, 7", "8, 7")
    sums = ", ".join(
        f"SUM(CAST(CAST(SUBSTRING(q.h, {part}) AS bigint) AS decimal(38, 0))) AS sum_{number}"
        for number, part in enumerate(parts, 1)
    )
    return (
        f"/* drmgr: fingerprint */ SELECT COUNT_BIG(*) AS row_count, {sums} "
        f"FROM (SELECT HASHBYTES('SHA2_256', {row}) AS h FROM {bracketed(schema, table)}) AS q"
    )


def newest(schema: str, table: str, column: str) -> str:
    return f"/* drmgr: newest */ SELECT MAX({bracketed(column)}) AS newest FROM {bracketed(schema, table)}"


def column_type(schema: str, table: str, column: str) -> str:
    return f"""/* drmgr: column type */
SELECT TYPE_NAME(c.system_type_id) AS type_name FROM sys.columns AS c
WHERE c.object_id = OBJECT_ID({literal(bracketed(schema, table))}) AND c.name = {literal(column)}"""


STRUCTURE: Mapping[str, str] = {
    "columns": """/* drmgr: structure of columns */
SELECT s.name AS schema_name, t.name AS table_name, c.name AS column_name, TYPE_NAME(c.user_type_id) AS type_name,
  CAST(c.max_length AS int) AS max_length, CAST(c.precision AS int) AS precision_digits, CAST(c.scale AS int) AS scale_digits,
  CAST(c.is_nullable AS int) AS is_nullable, CAST(c.is_identity AS int) AS is_identity, c.collation_name,
  d.definition AS default_definition, m.definition AS computed_definition
FROM sys.columns AS c JOIN sys.tables AS t ON t.object_id = c.object_id JOIN sys.schemas AS s ON s.schema_id = t.schema_id
  LEFT JOIN sys.default_constraints AS d ON d.object_id = c.default_object_id
  LEFT JOIN sys.computed_columns AS m ON m.object_id = c.object_id AND m.column_id = c.column_id
WHERE t.is_ms_shipped = 0
ORDER BY s.name, t.name, c.column_id""",
    "indexes": """/* drmgr: structure of indexes */
SELECT s.name AS schema_name, t.name AS table_name, i.name AS index_name, i.type_desc, CAST(i.is_unique AS int) AS is_unique,
  CAST(i.is_primary_key AS int) AS is_primary_key, CAST(i.is_disabled AS int) AS is_disabled, i.filter_definition,
  CAST(x.key_ordinal AS int) AS key_ordinal, COL_NAME(x.object_id, x.column_id) AS column_name,
  CAST(x.is_descending_key AS int) AS is_descending_key, CAST(x.is_included_column AS int) AS is_included_column
FROM sys.indexes AS i JOIN sys.tables AS t ON t.object_id = i.object_id JOIN sys.schemas AS s ON s.schema_id = t.schema_id
  LEFT JOIN sys.index_columns AS x ON x.object_id = i.object_id AND x.index_id = i.index_id
WHERE t.is_ms_shipped = 0
ORDER BY s.name, t.name, i.index_id, x.index_column_id""",
    "constraints": """/* drmgr: structure of constraints */
SELECT SCHEMA_NAME(o.schema_id) AS schema_name, OBJECT_NAME(o.parent_object_id) AS table_name, o.name AS constraint_name,
  o.type_desc, k.definition AS check_definition, OBJECT_NAME(f.referenced_object_id) AS referenced_table,
  COL_NAME(x.parent_object_id, x.parent_column_id) AS column_name,
  COL_NAME(x.referenced_object_id, x.referenced_column_id) AS referenced_column,
  f.delete_referential_action_desc, f.update_referential_action_desc,
  CAST(COALESCE(k.is_disabled, f.is_disabled) AS int) AS is_disabled
FROM sys.objects AS o LEFT JOIN sys.check_constraints AS k ON k.object_id = o.object_id
  LEFT JOIN sys.foreign_keys AS f ON f.object_id = o.object_id
  LEFT JOIN sys.foreign_key_columns AS x ON x.constraint_object_id = o.object_id
WHERE o.type IN ('C', 'F') AND o.is_ms_shipped = 0
ORDER BY 1, 2, 3, x.constraint_column_id""",
    "modules": """/* drmgr: structure of modules */
SELECT SCHEMA_NAME(o.schema_id) AS schema_name, o.name AS object_name, o.type_desc, m.definition
FROM sys.objects AS o JOIN sys.sql_modules AS m ON m.object_id = o.object_id
WHERE o.is_ms_shipped = 0
ORDER BY 1, 2""",
    "others": """/* drmgr: structure of other objects */
SELECT SCHEMA_NAME(o.schema_id) AS schema_name, o.name AS object_name, o.type_desc,
  CAST(q.increment AS nvarchar(64)) AS sequence_increment, n.base_object_name
FROM sys.objects AS o LEFT JOIN sys.sequences AS q ON q.object_id = o.object_id
  LEFT JOIN sys.synonyms AS n ON n.object_id = o.object_id
WHERE o.is_ms_shipped = 0 AND o.type IN ('SO', 'SN', 'TT', 'SQ')
ORDER BY 1, 2""",
}

PRINCIPALS = """/* drmgr: principals */
SELECT p.name AS principal_name, p.type_desc, p.default_schema_name
FROM sys.database_principals AS p WHERE p.is_fixed_role = 0
ORDER BY p.name"""

MEMBERS = """/* drmgr: members of roles */
SELECT r.name AS role_name, p.name AS principal_name
FROM sys.database_role_members AS m JOIN sys.database_principals AS r ON r.principal_id = m.role_principal_id
  JOIN sys.database_principals AS p ON p.principal_id = m.member_principal_id
ORDER BY r.name, p.name"""

PERMISSIONS = """/* drmgr: permissions */
SELECT p.name AS principal_name, x.class_desc, x.permission_name, x.state_desc,
  CASE x.class WHEN 1 THEN OBJECT_SCHEMA_NAME(x.major_id) + N'.' + OBJECT_NAME(x.major_id)
      + COALESCE(N'.' + COL_NAME(x.major_id, x.minor_id), N'')
    WHEN 3 THEN SCHEMA_NAME(x.major_id) ELSE N'' END AS securable
FROM sys.database_permissions AS x JOIN sys.database_principals AS p ON p.principal_id = x.grantee_principal_id
WHERE NOT (x.class = 1 AND x.major_id < 0)
ORDER BY 1, 2, 5, 3, 4"""

BEGIN, UNDO = "/* drmgr: begin */ BEGIN TRANSACTION", "/* drmgr: undo */ IF @@TRANCOUNT > 0 ROLLBACK TRANSACTION"
