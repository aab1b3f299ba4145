/* drmgr: structure of modules */
SELECT SCHEMA_NAME(o.schema_id) AS schema_name, o.name AS object_name, o.type_desc, m.definition
FROM sys.objects AS o JOIN sys.sql_modules AS m ON m.object_id = o.object_id
WHERE o.is_ms_shipped = 0
ORDER BY 1, 2
