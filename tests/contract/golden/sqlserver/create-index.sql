/* drmgr: create index */ CREATE UNIQUE NONCLUSTERED INDEX [o'dd]]] ON [dbo].[drmgr_laying_0123456789abcdef] ([id] DESC) INCLUDE ([name], [b]) WHERE ([id]>(0))
