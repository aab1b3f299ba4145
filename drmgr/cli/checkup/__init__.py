"""``drmgr doctor``: what will be needed, looked at before it is needed."""
