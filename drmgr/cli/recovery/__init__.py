"""``drmgr recover``, and what is kept for it."""
