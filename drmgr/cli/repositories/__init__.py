"""``drmgr repo`` and what tells of repositories and their copies."""
