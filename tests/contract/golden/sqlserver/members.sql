/* drmgr: members of roles */
SELECT r.name AS role_name, p.name AS principal_name
FROM sys.database_role_members AS m JOIN sys.database_principals AS r ON r.principal_id = m.role_principal_id
  JOIN sys.database_principals AS p ON p.principal_id = m.member_principal_id
ORDER BY r.name, p.name
