DROP TABLE [dbo].[o'dd ]]name__drmgr_20260105_1403];
