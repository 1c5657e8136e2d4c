"""A search on several devices gives the numbers of one."""

import json
import os
import subprocess
import sys

import numpy as np
import pytest


@pytest.mark.parametrize(
    ("how", "counts"),
    [
        ("apart", (1, 4)),
        pytest.param("apart", (1, 8), marks=pytest.mark.slow),
        pytest.param("fused", (1, 4, 8), marks=pytest.mark.slow),
    ],
)
def test_losses_of_several_devices_are_those_of_one(how, counts):
    flags = {"XLA_FLAGS": "--xla_force_host_platform_device_count=8", "JAX_PLATFORMS": "cpu"}
    told = subprocess.run(
        [sys.executable, "-m", "tests.trainers.on_devices", how, *map(str, counts)],
        env=os.environ | flags,
        capture_output=True,
        text=True,
        check=False,
    )
    assert told.returncode == 0, told.stderr[-2000:]
    losses = {int(count): np.array(row) for count, row in json.loads(told.stdout).items()}
    for count in counts[1:]:
        np.testing.assert_allclose(losses[count], losses[1], rtol=1e-5, atol=1e-5)
