/* drmgr: snapshots */
SELECT CAST(d.snapshot_isolation_state AS int) AS snapshot_state FROM sys.databases AS d WHERE d.database_id = DB_ID()
