/* drmgr: structure of other objects */
SELECT SCHEMA_NAME(o.schema_id) AS schema_name, o.name AS object_name, o.type_desc,
  CAST(q.increment AS nvarchar(64)) AS sequence_increment, n.base_object_name
FROM sys.objects AS o LEFT JOIN sys.sequences AS q ON q.object_id = o.object_id
  LEFT JOIN sys.synonyms AS n ON n.object_id = o.object_id
WHERE o.is_ms_shipped = 0 AND o.type IN ('SO', 'SN', 'TT', 'SQ')
ORDER BY 1, 2
