/* drmgr: file list */ RESTORE FILELISTONLY FROM DISK = N'/backups/example.bak'
