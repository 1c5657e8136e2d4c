"""The function that is exported: a network's forward pass in plain operations, its weights constants of it."""

import dataclasses
from collections.abc import Callable

import jax
from flax import nnx
from jax import Array

from tvnjax.nn.child import Child
from tvnjax.space.network import Network


@dataclasses.dataclass(frozen=True, kw_only=True)
class ExportProgram:
    """A forward pass of one clip and the shape it takes."""

    forward: Callable[[Array], Array]
    """Normalised pixels ``[1, T, H, W, C]`` float32 to class scores ``[1, classes]``."""
    clip: jax.ShapeDtypeStruct


def export_program(network: Network, *weights: nnx.State) -> ExportProgram:
    """The forward pass of a network in evaluation mode.

    Convolutions and pools take their plain form: other runtimes have fast kernels for those, and none for the shifted
    products that are fast to train on a CPU (5 to 9 times as slow there).

    Args:
        network: lowered.
        weights: parameters and running statistics of its ``Child``; where there are none, fresh ones, as for timing.
    """
    graph, state = nnx.split(Child(network, form="plain"))
    states = weights or (state,)

    def forward(clip: Array) -> Array:
        return nnx.merge(graph, *states, copy=True)(clip)

    return ExportProgram(forward=forward, clip=jax.ShapeDtypeStruct((1, *network.input_shape), "float32"))
