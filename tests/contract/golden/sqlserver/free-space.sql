/* drmgr: free space */
SELECT TOP (1) v.volume_mount_point, v.available_bytes
FROM sys.master_files AS f CROSS APPLY sys.dm_os_volume_stats(f.database_id, f.file_id) AS v
WHERE CHARINDEX(v.volume_mount_point, N'/var/opt/mssql/data/') = 1
ORDER BY LEN(v.volume_mount_point) DESC
