/* drmgr: permissions */
SELECT p.name AS principal_name, x.class_desc, x.permission_name, x.state_desc,
  CASE x.class WHEN 1 THEN OBJECT_SCHEMA_NAME(x.major_id) + N'.' + OBJECT_NAME(x.major_id)
      + COALESCE(N'.' + COL_NAME(x.major_id, x.minor_id), N'')
    WHEN 3 THEN SCHEMA_NAME(x.major_id) ELSE N'' END AS securable
FROM sys.database_permissions AS x JOIN sys.database_principals AS p ON p.principal_id = x.grantee_principal_id
WHERE NOT (x.class = 1 AND x.major_id < 0)
ORDER BY 1, 2, 5, 3, 4
