/* drmgr: rights */
SELECT HAS_PERMS_BY_NAME(N'[his]', N'DATABASE', N'BACKUP DATABASE') AS backup_database,
  HAS_PERMS_BY_NAME(N'[his]', N'DATABASE', N'BACKUP LOG') AS backup_log,
  HAS_PERMS_BY_NAME(N'[his]', N'DATABASE', N'SELECT') AS select_all,
  HAS_PERMS_BY_NAME(N'[his]', N'DATABASE', N'VIEW DEFINITION') AS view_definition,
  HAS_PERMS_BY_NAME(NULL, NULL, N'CREATE ANY DATABASE') AS create_any_database,
  HAS_PERMS_BY_NAME(NULL, NULL, N'VIEW SERVER STATE') AS view_server_state,
  HAS_PERMS_BY_NAME(NULL, NULL, N'ALTER ANY CREDENTIAL') AS alter_any_credential
