/* drmgr: rename */ EXECUTE sys.sp_rename @objname = N'[dbo].[drmgr_laying_0123456789abcdef]', @newname = N'o''dd ]name__drmgr_20260105_1403', @objtype = 'OBJECT'
