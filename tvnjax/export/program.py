"""The function that is exported: a network's forward pass in plain operations, its weights constants of it."""

import dataclasses
from collections.abc import Callable
from typing import Any

import jax
from flax import nnx
from jax import Array

from tvnjax.graph import Network
from tvnjax.nn.child import Child


@dataclasses.dataclass(frozen=True, kw_only=True)
class ExportProgram:
    """A forward pass of one clip and the shape it takes."""

    network: Network
    child: Child
    """Its module, with the weights."""
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
    child = Child(network, form="plain")
    if weights:
        nnx.update(child, *weights)
    clip = jax.ShapeDtypeStruct((1, *network.input_shape), "float32")
    return ExportProgram(network=network, child=child, forward=plain_forward(child), clip=clip)


def plain_forward(module: nnx.Module, **arguments: Any) -> Callable[[Array], Array]:
    """A function of one array that calls a module whose weights are constants of it."""
    graph, state = nnx.split(module)

    def forward(x: Array) -> Array:
        return nnx.merge(graph, state, copy=True)(x, **arguments)

    return forward
