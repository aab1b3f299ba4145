/* drmgr: subscribes */
SELECT CASE WHEN OBJECT_ID(N'dbo.MSreplication_subscriptions') IS NULL THEN 0 ELSE 1 END AS is_subscriber
