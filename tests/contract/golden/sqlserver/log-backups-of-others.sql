/* drmgr: log backups of others */
SELECT TOP (5) b.first_lsn, b.last_lsn, b.backup_finish_date, b.user_name, f.physical_device_name
FROM msdb.dbo.backupset AS b JOIN msdb.dbo.backupmediafamily AS f ON f.media_set_id = b.media_set_id
WHERE b.database_name = N'his' AND b.type = 'L' AND b.is_copy_only = 0 AND b.last_lsn > 34000000012800001 AND b.first_lsn < 34000000013600009
ORDER BY b.first_lsn
