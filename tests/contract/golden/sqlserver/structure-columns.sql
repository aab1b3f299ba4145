/* drmgr: structure of columns */
SELECT s.name AS schema_name, t.name AS table_name, c.name AS column_name, TYPE_NAME(c.user_type_id) AS type_name,
  CAST(c.max_length AS int) AS max_length, CAST(c.precision AS int) AS precision_digits, CAST(c.scale AS int) AS scale_digits,
  CAST(c.is_nullable AS int) AS is_nullable, CAST(c.is_identity AS int) AS is_identity, c.collation_name,
  d.definition AS default_definition, m.definition AS computed_definition
FROM sys.columns AS c JOIN sys.tables AS t ON t.object_id = c.object_id JOIN sys.schemas AS s ON s.schema_id = t.schema_id
  LEFT JOIN sys.default_constraints AS d ON d.object_id = c.default_object_id
  LEFT JOIN sys.computed_columns AS m ON m.object_id = c.object_id AND m.column_id = c.column_id
WHERE t.is_ms_shipped = 0
ORDER BY s.name, t.name, c.column_id
