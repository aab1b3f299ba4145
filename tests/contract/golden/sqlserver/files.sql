/* drmgr: files */
SELECT f.name AS logical_name, f.physical_name FROM sys.master_files AS f WHERE f.database_id = DB_ID(N'his')
