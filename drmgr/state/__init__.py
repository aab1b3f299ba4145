"""What drmgr remembers on this host: catalog, locks."""
