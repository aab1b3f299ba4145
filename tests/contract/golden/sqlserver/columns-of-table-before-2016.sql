/* drmgr: columns of a table */
SELECT c.name AS column_name, COALESCE(TYPE_NAME(c.system_type_id), TYPE_NAME(c.user_type_id)) AS type_name,
  CAST(c.max_length AS int) AS max_length, CAST(c.precision AS int) AS precision_digits, CAST(c.scale AS int) AS scale_digits,
  CAST(c.is_nullable AS int) AS is_nullable, c.collation_name, CAST(c.is_column_set AS int) AS is_column_set,
  c.xml_collection_id, 0 AS is_encrypted, 0 AS is_masked,
  CAST(i.seed_value AS nvarchar(64)) AS identity_seed, CAST(i.increment_value AS nvarchar(64)) AS identity_increment,
  d.definition AS default_definition, m.definition AS computed_definition, CAST(m.is_persisted AS int) AS is_persisted,
  CAST(e.value AS nvarchar(4000)) AS comment
FROM sys.columns AS c
  LEFT JOIN sys.identity_columns AS i ON i.object_id = c.object_id AND i.column_id = c.column_id
  LEFT JOIN sys.default_constraints AS d ON d.object_id = c.default_object_id
  LEFT JOIN sys.computed_columns AS m ON m.object_id = c.object_id AND m.column_id = c.column_id
  LEFT JOIN sys.extended_properties AS e
    ON e.class = 1 AND e.major_id = c.object_id AND e.minor_id = c.column_id AND e.name = N'MS_Description'
WHERE c.object_id = OBJECT_ID(N'[dbo].[patient]')
ORDER BY c.column_id
