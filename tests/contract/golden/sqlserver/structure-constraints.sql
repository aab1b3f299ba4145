/* drmgr: structure of constraints */
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
ORDER BY 1, 2, 3, x.constraint_column_id
