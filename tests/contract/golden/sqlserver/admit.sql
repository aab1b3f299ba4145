/* drmgr: admit */ ALTER DATABASE [his] SET MULTI_USER
