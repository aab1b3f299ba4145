/* drmgr: principals */
SELECT p.name AS principal_name, p.type_desc, p.default_schema_name
FROM sys.database_principals AS p WHERE p.is_fixed_role = 0
ORDER BY p.name
