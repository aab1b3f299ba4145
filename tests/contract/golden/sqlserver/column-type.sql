/* drmgr: column type */
SELECT TYPE_NAME(c.system_type_id) AS type_name FROM sys.columns AS c
WHERE c.object_id = OBJECT_ID(N'[dbo].[patient]') AND c.name = N'seen'
