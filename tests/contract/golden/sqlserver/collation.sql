/* drmgr: collation */
SELECT d.collation_name FROM sys.databases AS d WHERE d.database_id = DB_ID()
