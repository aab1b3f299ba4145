/* drmgr: begin */ BEGIN TRANSACTION
