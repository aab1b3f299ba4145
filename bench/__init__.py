"""The benchmark behind ``make bench``: drmgr beside the tools that people use for the same work. Not a test."""
