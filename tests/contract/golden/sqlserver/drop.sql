/* drmgr: drop */ DROP DATABASE [drill]
