"""``import tvnjax`` takes no time and no JAX; its names are there all the same."""

import ast
import statistics
import subprocess
import sys
from pathlib import Path

import pytest

import tvnjax

_HEAVY = ("jax", "flax", "numpy", "matplotlib", "tensorflow_datasets", "av", "tyro", "rich")
_TIMED = """
import sys, time
start = time.perf_counter()
import tvnjax
took = time.perf_counter() - start
print(took, [name for name in {heavy} if name in sys.modules])
"""


def _in_new_process(source: str) -> str:
    return subprocess.run([sys.executable, "-c", source], capture_output=True, text=True, check=True).stdout


def test_importing_is_quick_and_brings_nothing_along():
    told = [_in_new_process(_TIMED.format(heavy=_HEAVY)).strip().split(" ", 1) for _ in range(3)]
    assert {names for _, names in told} == {"[]"}
    assert statistics.median(float(took) for took, _ in told) < 0.2


def test_every_public_name_is_there_and_listed():
    for name in tvnjax.__all__:
        assert getattr(tvnjax, name) is not None
    assert set(tvnjax.__all__) <= set(dir(tvnjax))
    # The type checker reads other lines than Python does: both name the same.
    tree = ast.parse(Path(tvnjax.__file__).read_text(encoding="utf-8"))
    (checked,) = [node for node in tree.body if isinstance(node, ast.If)]
    imports = [line for line in checked.body if isinstance(line, ast.ImportFrom)]
    names = {alias.name for line in imports for alias in line.names}
    assert names == set(tvnjax.__all__)


def test_a_misspelt_name_is_an_attribute_error():
    with pytest.raises(AttributeError, match="runn"):
        tvnjax.runn  # noqa: B018


def test_opening_a_run_needs_no_jax(finished):
    source = f"import tvnjax, sys; print(len(tvnjax.open_run({str(finished.path)!r}).rows()), 'jax' in sys.modules)"
    assert _in_new_process(source).strip() == "2 False"


def test_the_zoo_lists_its_networks():
    rows = tvnjax.zoo.networks()
    assert [row["name"] for row in rows] == list(tvnjax.zoo) == tvnjax.zoo.names()
    assert len(tvnjax.zoo) == len(rows) and "tvn1" in tvnjax.zoo and "tvn5" not in tvnjax.zoo
    assert rows[0]["params"] > 0 and rows[0]["macs"] > 0
    assert len(repr(tvnjax.zoo)) <= 200 and "x3d-xs" in tvnjax.zoo._repr_html_()
