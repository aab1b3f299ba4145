/* drmgr: restore */ RESTORE DATABASE [drill] FROM DISK = N'/backups/example.bak' WITH NORECOVERY, CHECKSUM, STATS = 1, MOVE N'his' TO N'/data/drill_1.mdf', MOVE N'his_log' TO N'/data/drill_2.ldf'
