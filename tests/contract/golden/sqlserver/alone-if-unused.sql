/* drmgr: alone if unused */ ALTER DATABASE [his] SET SINGLE_USER WITH NO_WAIT
