/* drmgr: standing */
SELECT d.state_desc, d.user_access_desc, SUSER_SNAME(d.owner_sid) AS owner_name,
  CAST(d.is_trustworthy_on AS int) AS is_trustworthy, CAST(d.is_db_chaining_on AS int) AS is_chaining,
  CAST(d.is_broker_enabled AS int) AS is_broker_enabled, CAST(d.is_cdc_enabled AS int) AS is_capturing,
  CASE WHEN d.source_database_id IS NULL THEN 0 ELSE 1 END AS is_snapshot,
  CASE WHEN d.replica_id IS NULL THEN 0 ELSE 1 END AS is_in_group,
  (SELECT COUNT(*) FROM sys.database_mirroring AS m
    WHERE m.database_id = d.database_id AND m.mirroring_guid IS NOT NULL) AS is_mirrored,
  CASE WHEN d.is_published = 1 OR d.is_merge_published = 1 OR d.is_distributor = 1 THEN 1 ELSE 0 END AS is_replicated,
  (SELECT COUNT(*) FROM sys.databases AS s WHERE s.source_database_id = d.database_id) AS snapshots
FROM sys.databases AS d WHERE d.name = N'his'
