/* drmgr: restore log */ RESTORE LOG [drill] FROM URL = N's3://store.example:9000/drmgr/his/example.bak' WITH RECOVERY, STOPAT = N'2026-11-22T22:00:00.123', CHECKSUM, STATS = 1
