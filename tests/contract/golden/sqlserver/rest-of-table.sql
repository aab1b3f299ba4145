/* drmgr: rest of a table */
SELECT (SELECT COUNT(*) FROM sys.triggers AS t WHERE t.parent_id = OBJECT_ID(N'[dbo].[patient]')) AS trigger_count,
  (SELECT COUNT(*) FROM sys.foreign_keys AS f WHERE f.parent_object_id = OBJECT_ID(N'[dbo].[patient]')) AS foreign_key_count,
  (SELECT COUNT(*) FROM sys.check_constraints AS k WHERE k.parent_object_id = OBJECT_ID(N'[dbo].[patient]')) AS check_count,
  (SELECT CAST(e.value AS nvarchar(4000)) FROM sys.extended_properties AS e
    WHERE e.class = 1 AND e.major_id = OBJECT_ID(N'[dbo].[patient]') AND e.minor_id = 0 AND e.name = N'MS_Description') AS comment
