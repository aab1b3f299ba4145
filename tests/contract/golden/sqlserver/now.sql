/* drmgr: now */ SELECT SYSUTCDATETIME() AS utc_now, DATEPART(TZOFFSET, SYSDATETIMEOFFSET()) AS utc_offset_minutes
