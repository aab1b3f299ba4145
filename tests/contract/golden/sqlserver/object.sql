/* drmgr: object */ SELECT OBJECT_ID(N'[dbo].[patient]') AS object_id
