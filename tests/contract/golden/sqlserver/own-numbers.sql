/* drmgr: own numbers */ SET IDENTITY_INSERT [dbo].[drmgr_laying_0123456789abcdef] ON
