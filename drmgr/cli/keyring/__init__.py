"""``drmgr keys``: the site's keys, their rotation and their shares."""
