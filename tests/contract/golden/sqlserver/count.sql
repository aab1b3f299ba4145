/* drmgr: count */ SELECT COUNT_BIG(*) AS row_count FROM [dbo].[patient]
