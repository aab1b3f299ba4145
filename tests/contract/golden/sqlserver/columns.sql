/* drmgr: columns */
SELECT s.name AS schema_name, t.name AS table_name, c.name AS column_name,
  COALESCE(TYPE_NAME(c.system_type_id), TYPE_NAME(c.user_type_id)) AS type_name, CAST(c.max_length AS int) AS max_length,
  CAST(c.is_computed AS int) AS is_computed, CAST(c.is_column_set AS int) AS is_column_set, CASE WHEN c.encryption_type IS NULL THEN 0 ELSE 1 END AS is_encrypted
FROM sys.columns AS c JOIN sys.tables AS t ON t.object_id = c.object_id JOIN sys.schemas AS s ON s.schema_id = t.schema_id
WHERE t.is_ms_shipped = 0
ORDER BY s.name, t.name, c.column_id
