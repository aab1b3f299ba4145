"""What holds for every test: how long an example takes says nothing on a machine that others use too."""

from hypothesis import settings

settings.register_profile("drmgr", deadline=None)
settings.load_profile("drmgr")
