/* drmgr: owner */ SELECT SUSER_SNAME(p.sid) AS owner_name FROM sys.database_principals AS p WHERE p.name = N'dbo'
