"""Shared by all tests: one compilation cache and one latency and dataset folder a session, apart from the user's."""

import os
import sys
import tempfile

import pytest

# Set before jax is imported, so that it starts with it; a folder of its own, so that tests never meet the user's files.
os.environ["TVNJAX_CACHE"] = tempfile.mkdtemp(prefix="tvnjax-tests-")


@pytest.fixture(scope="session", autouse=True)
def _compilation_cache():
    from tvnjax.core.environment import use_compilation_cache

    use_compilation_cache()
    yield
    assert "tensorflow" not in sys.modules, "tvnjax runs without TensorFlow"
