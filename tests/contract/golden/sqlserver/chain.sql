/* drmgr: chain */ ALTER DATABASE [his] SET DB_CHAINING ON
