/* drmgr: admin */ SELECT CAST(IS_SRVROLEMEMBER(N'sysadmin') AS int) AS is_admin
