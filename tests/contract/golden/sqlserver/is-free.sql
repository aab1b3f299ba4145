/* drmgr: is free */ SELECT APPLOCK_TEST(N'public', N'drmgr_laying_0123456789abcdef', N'Exclusive', N'Session') AS free
