/* drmgr: header */ RESTORE HEADERONLY FROM URL = N's3://store.example:9000/drmgr/his/example.bak' WITH RESTORE_OPTIONS = N'{"s3": {"region": "cn-north-1"}}'
