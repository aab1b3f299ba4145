/* drmgr: databases */ SELECT d.name, d.state_desc FROM sys.databases AS d WHERE d.name LIKE N'drmgr[_]0123abcd[_]%' ORDER BY d.name
