/* drmgr: trust */ ALTER DATABASE [his] SET TRUSTWORTHY ON
