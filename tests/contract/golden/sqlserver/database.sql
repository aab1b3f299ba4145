/* drmgr: database */
SELECT d.name, d.state_desc, d.recovery_model_desc, d.collation_name, CAST(d.compatibility_level AS int) AS compatibility_level,
  d.containment_desc, d.is_read_only, CAST(r.family_guid AS nvarchar(36)) AS family_guid,
  CAST(r.recovery_fork_guid AS nvarchar(36)) AS recovery_fork_guid, r.last_log_backup_lsn,
  CAST(sys.fn_hadr_is_primary_replica(d.name) AS int) AS is_primary,
  CAST(sys.fn_hadr_backup_is_preferred_replica(d.name) AS int) AS is_preferred
FROM sys.databases AS d LEFT JOIN sys.database_recovery_status AS r ON r.database_id = d.database_id
WHERE d.name = N'his'
