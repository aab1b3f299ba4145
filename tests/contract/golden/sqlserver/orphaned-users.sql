/* drmgr: orphaned users */
SELECT p.name FROM sys.database_principals AS p LEFT JOIN sys.server_principals AS l ON l.sid = p.sid
WHERE l.sid IS NULL AND p.authentication_type_desc = N'INSTANCE' AND p.name <> N'dbo'
ORDER BY p.name
