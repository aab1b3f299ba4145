/* drmgr: file exists */ EXECUTE master.dbo.xp_fileexist N'/backups/example.bak'
