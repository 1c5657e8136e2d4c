"""MoViNet-A0 against a plain NumPy version of its definition, all weights random, the scalars that start at 0 too."""

import jax.numpy as jnp
import numpy as np
from flax import nnx

from tests.zoo.movinet_reference import ROWS, movinet_a0
from tests.zoo.weights import parts, randomize
from tvnjax.graph import Conv
from tvnjax.nn.child import Child
from tvnjax.nn.layers import Scale
from tvnjax.nn.parts import BatchNorm
from tvnjax.zoo.registry import zoo_entry


def arrays(child):
    for part in parts(child):
        if isinstance(part, BatchNorm):
            yield from (part.scale[...], part.bias[...], part.mean[...], part.var[...])
        elif isinstance(part, Scale):
            yield part.scale[...]
        else:
            yield part.kernel[...]
            if part.bias is not None:
                yield part.bias[...]


def test_kernels_and_strides_are_those_of_the_table():
    units = zoo_entry("movinet-a0").network().units[1:-1]
    deep = [next(layer for layer in unit.layers if isinstance(layer, Conv) and layer.depthwise) for unit in units]
    assert [(layer.kernel, layer.stride[1]) for layer in deep] == [((t, k, k), s) for _, _, t, k, s in ROWS]


def test_outputs_and_the_part_of_the_scalars():
    child = Child(zoo_entry("movinet-a0").network(6, num_frames=4, image_size=44), seed=2)
    clip = np.random.default_rng(0).standard_normal((2, 4, 44, 44, 3)).astype(np.float32)
    run = nnx.jit(lambda model, clip: model(clip))
    fresh = run(child, jnp.asarray(clip))
    randomize(child)
    ours, theirs = np.asarray(run(child, jnp.asarray(clip))), movinet_a0(clip, arrays(child))
    assert np.abs(ours - theirs).max() <= 1e-4 * max(np.abs(theirs).max(), 1.0)
    assert np.abs(theirs[0] - theirs[1]).max() > 1e-3
    assert np.abs(ours - np.asarray(fresh)).max() > 1e-2
