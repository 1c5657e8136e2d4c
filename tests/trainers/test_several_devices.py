"""A search on several devices gives the numbers of one."""

import json
import os
import subprocess
import sys

import numpy as np
import pytest


@pytest.mark.parametrize("how", ["apart", pytest.param("fused", marks=pytest.mark.slow)])
def test_losses_of_4_and_8_devices_are_those_of_one(how):
    flags = {"XLA_FLAGS": "--xla_force_host_platform_device_count=8", "JAX_PLATFORMS": "cpu"}
    told = subprocess.run(
        [sys.executable, "-m", "tests.trainers.on_devices", how],
        env=os.environ | flags,
        capture_output=True,
        text=True,
        check=False,
    )
    assert told.returncode == 0, told.stderr[-2000:]
    losses = {int(count): np.array(row) for count, row in json.loads(told.stdout).items()}
    for count in (4, 8):
        np.testing.assert_allclose(losses[count], losses[1], rtol=1e-5, atol=1e-5)
