/* drmgr: header */ RESTORE HEADERONLY FROM DISK = N'/backups/example.bak'
