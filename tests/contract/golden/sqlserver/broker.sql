/* drmgr: broker */ ALTER DATABASE [his] SET ENABLE_BROKER
