SELECT DB_NAME() AS entered, CAST(@@SPID AS int) AS number
