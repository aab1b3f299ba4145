/* drmgr: recover */ RESTORE DATABASE [drill] WITH RECOVERY
