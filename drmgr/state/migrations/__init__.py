"""The catalog's schema, step by step; run by drmgr.state.database, never by hand."""
