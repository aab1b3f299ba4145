/* drmgr: structure of indexes */
SELECT s.name AS schema_name, t.name AS table_name, i.name AS index_name, i.type_desc, CAST(i.is_unique AS int) AS is_unique,
  CAST(i.is_primary_key AS int) AS is_primary_key, CAST(i.is_disabled AS int) AS is_disabled, i.filter_definition,
  CAST(x.key_ordinal AS int) AS key_ordinal, COL_NAME(x.object_id, x.column_id) AS column_name,
  CAST(x.is_descending_key AS int) AS is_descending_key, CAST(x.is_included_column AS int) AS is_included_column
FROM sys.indexes AS i JOIN sys.tables AS t ON t.object_id = i.object_id JOIN sys.schemas AS s ON s.schema_id = t.schema_id
  LEFT JOIN sys.index_columns AS x ON x.object_id = i.object_id AND x.index_id = i.index_id
WHERE t.is_ms_shipped = 0
ORDER BY s.name, t.name, i.index_id, x.index_column_id
