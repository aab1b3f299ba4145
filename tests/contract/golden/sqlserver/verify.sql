/* drmgr: verify */ RESTORE VERIFYONLY FROM DISK = N'/backups/example.bak' WITH CHECKSUM
