/* drmgr: primary key */ ALTER TABLE [dbo].[drmgr_laying_0123456789abcdef] ADD PRIMARY KEY CLUSTERED ([id] ASC, [o]]] DESC)
