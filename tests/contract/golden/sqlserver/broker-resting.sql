/* drmgr: broker */ ALTER DATABASE [his] SET DISABLE_BROKER
