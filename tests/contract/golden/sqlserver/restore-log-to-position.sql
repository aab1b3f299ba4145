/* drmgr: restore log */ RESTORE LOG [drill] FROM DISK = N'/backups/example.bak' WITH RECOVERY, STOPATMARK = N'lsn:34000000012800001', CHECKSUM, STATS = 1
