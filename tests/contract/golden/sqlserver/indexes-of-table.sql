/* drmgr: indexes of a table */
SELECT i.name AS index_name, CAST(i.type AS int) AS type_number, CAST(i.is_unique AS int) AS is_unique,
  CAST(i.is_primary_key AS int) AS is_primary_key, CAST(i.is_disabled AS int) AS is_disabled, i.filter_definition,
  CAST(x.key_ordinal AS int) AS key_ordinal, COL_NAME(x.object_id, x.column_id) AS column_name,
  CAST(x.is_descending_key AS int) AS is_descending_key, CAST(x.is_included_column AS int) AS is_included_column
FROM sys.indexes AS i LEFT JOIN sys.index_columns AS x ON x.object_id = i.object_id AND x.index_id = i.index_id
WHERE i.object_id = OBJECT_ID(N'[dbo].[patient]') AND i.type > 0 AND i.is_hypothetical = 0
ORDER BY i.index_id, x.key_ordinal, x.index_column_id
