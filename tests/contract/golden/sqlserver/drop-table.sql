/* drmgr: drop table */ IF OBJECT_ID(N'[dbo].[drmgr_laying_0123456789abcdef]', N'U') IS NOT NULL DROP TABLE [dbo].[drmgr_laying_0123456789abcdef]
