"""Hypothesis as a test suite needs it: the same examples each time, and no clock, which a busy machine would miss."""

from hypothesis import settings

settings.register_profile("tvnjax", deadline=None, derandomize=True, database=None, max_examples=60)
settings.load_profile("tvnjax")
