/* drmgr: verify */ RESTORE VERIFYONLY FROM URL = N's3://store.example:9000/drmgr/his/example.bak' WITH CHECKSUM
