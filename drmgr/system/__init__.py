"""The machine drmgr runs on: processes, time, files, secrets. Knows nothing of backups."""
