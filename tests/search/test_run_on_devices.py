"""A whole search on several devices: the losses, plans and network of one device, and the same again to the bit."""

import json
import os
import subprocess
import sys

import numpy as np
import pytest

FLAGS = {"XLA_FLAGS": "--xla_force_host_platform_device_count=8", "JAX_PLATFORMS": "cpu"}


@pytest.mark.slow
def test_a_run_on_4_and_8_devices_finds_what_one_finds(tmp_path):
    command = [sys.executable, "-m", "tests.search.run_on_devices", str(tmp_path)]
    told = subprocess.run(command, env=os.environ | FLAGS, capture_output=True, text=True, check=False)
    assert told.returncode == 0, told.stderr[-2000:]
    found = json.loads((tmp_path / "found.json").read_text())
    one = found["1"]
    assert len(one["losses"]) == 30 and len(one["plans"]) >= 2
    for name in ("4", "8"):
        np.testing.assert_allclose(found[name]["losses"], one["losses"], rtol=1e-5, atol=1e-5)
        assert (found[name]["plans"], found[name]["genotype"]) == (one["plans"], one["genotype"])
    assert found["4"] == found["4 again"], "a number of devices is the same to the bit"
