/* drmgr: admit */ ALTER DATABASE [his] SET RESTRICTED_USER
