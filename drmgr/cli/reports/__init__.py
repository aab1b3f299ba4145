"""``drmgr report``: papers, and what is gathered for them."""
