"""Properties are tested without a clock: a shared machine may be slow, which is no fault of the code."""

from hypothesis import settings

settings.register_profile("no_deadline", deadline=None)
settings.load_profile("no_deadline")
