"""Every experiment can be imported: none names what has moved."""

import importlib
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
MODULES = sorted(
    ".".join(path.relative_to(ROOT).with_suffix("").parts) for path in (ROOT / "experiments").rglob("*.py")
)


@pytest.mark.parametrize("name", MODULES)
def test_an_experiment_can_be_imported(name):
    assert importlib.import_module(name).__doc__
