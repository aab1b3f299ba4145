/* drmgr: header */ RESTORE HEADERONLY FROM URL = N's3://store.example:9000/drmgr/his/example.bak'
