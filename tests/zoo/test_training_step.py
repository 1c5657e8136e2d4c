"""One step of every network, in float32 and bfloat16, compiled once."""

import jax
import numpy as np
import pytest

from tests.trainers.compilation import no_compilation
from tests.zoo.small import NETWORKS
from tvnjax.graph import Network
from tvnjax.trainers.trainer import ChildTrainer, Training
from tvnjax.zoo.registry import ZOO, zoo_entry

SMALL = [name for name in NETWORKS if name != "tvn"]
"""A TVN trains in ``tests/train``."""


def step_twice(network: Network, precision: str) -> None:
    trainer = ChildTrainer(network, Training(steps=2, batch_size=2, precision=precision), 0)
    rng = np.random.default_rng(0)
    batch = {
        "clip": rng.integers(0, 256, (2, *network.input_shape)).astype(np.uint8),
        "label": np.array([0, 1], np.int32),
    }
    first = trainer.init()
    state, loss = trainer.step(first, batch)
    with no_compilation():
        _, later = trainer.step(state, batch)
    assert np.isfinite([float(loss), float(later)]).all()
    assert all(np.isfinite(leaf).all() for leaf in jax.tree.leaves(state.params))
    assert sum(leaf.size for leaf in jax.tree.leaves(state.params)) == network.params
    stats = zip(jax.tree.leaves(first.stats), jax.tree.leaves(state.stats))
    assert all(np.abs(np.asarray(a) - np.asarray(b)).max() > 0 for a, b in stats)


@pytest.mark.parametrize("name", SMALL)
def test_a_small_member_of_every_family(name):
    step_twice(NETWORKS[name], "float32")


@pytest.mark.parametrize("name", ["r2plus1d bottleneck", *(pytest.param(n, marks=pytest.mark.slow) for n in SMALL)])
def test_a_small_member_of_every_family_in_bfloat16(name):
    step_twice(NETWORKS[name], "bfloat16")


@pytest.mark.slow
@pytest.mark.parametrize("precision", ["float32", "bfloat16"])
@pytest.mark.parametrize("name", ZOO)
def test_every_network(name, precision):
    """At its own depth and width, on few and small frames: minutes of compilation each on a CPU."""
    step_twice(zoo_entry(name).network(num_frames=2, image_size=32), precision)
