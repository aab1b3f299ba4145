/* drmgr: occupied */ SELECT COUNT(*) AS objects FROM [drill].sys.objects AS o WHERE o.is_ms_shipped = 0
