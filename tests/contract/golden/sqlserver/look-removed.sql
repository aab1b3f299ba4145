SELECT d.* FROM [dbo].[o'dd ]]name__drmgr_20260105_1403] AS d WHERE NOT EXISTS (SELECT 1 FROM [dbo].[o'dd ]]name] AS l WHERE l.[id] = d.[id] AND l.[c date]]] = d.[c date]]]);
