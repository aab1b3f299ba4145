/* drmgr: sessions */
SELECT CAST(s.session_id AS int) AS number FROM sys.dm_exec_sessions AS s
WHERE s.is_user_process = 1 AND s.session_id <> @@SPID AND (s.database_id = DB_ID(N'his')
  OR EXISTS (SELECT 1 FROM sys.dm_tran_locks AS l WHERE l.request_session_id = s.session_id
    AND l.resource_type = N'DATABASE' AND l.resource_database_id = DB_ID(N'his')))
ORDER BY s.session_id
