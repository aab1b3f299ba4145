/* drmgr: newest */ SELECT MAX([seen]) AS newest FROM [dbo].[patient]
