/* drmgr: hold */
DECLARE @held int; EXECUTE @held = sys.sp_getapplock @Resource = N'drmgr_laying_0123456789abcdef', @LockMode = N'Exclusive',
  @LockOwner = N'Session', @LockTimeout = 0; SELECT @held AS held
