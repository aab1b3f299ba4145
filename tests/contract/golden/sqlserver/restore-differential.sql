/* drmgr: restore */ RESTORE DATABASE [drill] FROM DISK = N'/backups/example.bak' WITH NORECOVERY, CHECKSUM, STATS = 1
