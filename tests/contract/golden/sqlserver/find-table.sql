/* drmgr: find table */
SELECT s.name AS schema_name, o.name AS table_name, RTRIM(o.type) AS kind,
  (SELECT CAST(COALESCE(SUM(a.total_pages), 0) * 8192 AS bigint) FROM sys.partitions AS p
    JOIN sys.allocation_units AS a ON a.container_id IN (p.partition_id, p.hobt_id)
    WHERE p.object_id = o.object_id) AS byte_count
FROM sys.objects AS o JOIN sys.schemas AS s ON s.schema_id = o.schema_id
WHERE o.is_ms_shipped = 0 AND o.type IN ('U', 'V', 'SN', 'SO')
  AND N'patient' IN (o.name, QUOTENAME(o.name), N'"' + REPLACE(o.name, N'"', N'""') + N'"', s.name + N'.' + o.name, s.name + N'.' + QUOTENAME(o.name), QUOTENAME(s.name) + N'.' + o.name, QUOTENAME(s.name) + N'.' + QUOTENAME(o.name))
ORDER BY s.name, o.name
