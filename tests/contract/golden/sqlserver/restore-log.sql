/* drmgr: restore log */ RESTORE LOG [drill] FROM DISK = N'/backups/example.bak' WITH NORECOVERY, CHECKSUM, STATS = 1
