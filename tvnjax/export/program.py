"""The function that is exported: a network's forward pass in plain operations, its weights constants of it."""

import dataclasses
from collections.abc import Callable, Sequence
from typing import Any

import jax
from flax import nnx
from jax import Array

from tvnjax.graph import Network, Shape, input_names
from tvnjax.nn.child import Child


@dataclasses.dataclass(frozen=True, kw_only=True)
class ExportProgram:
    """A forward pass of one clip and the shapes it takes."""

    network: Network
    child: Child
    """Its module, with the weights."""
    forward: Callable[..., Array]
    """Normalised pixels ``[1, T, H, W, C]`` float32, an argument for every stream, to class scores ``[1, classes]``."""
    inputs: dict[str, jax.ShapeDtypeStruct]
    """What ``forward`` takes, in order, by names."""


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
    graph, state = nnx.split(child)

    def forward(*streams: Array) -> Array:
        return nnx.merge(graph, state, copy=True)(streams)

    inputs = named_inputs(network.input_shapes)
    return ExportProgram(network=network, child=child, forward=forward, inputs=inputs)


def named_inputs(shapes: Sequence[Shape]) -> dict[str, jax.ShapeDtypeStruct]:
    """Arrays of one clip, by the names that inputs have in a file."""
    arrays = [jax.ShapeDtypeStruct((1, *shape), "float32") for shape in shapes]
    return dict(zip(input_names(len(arrays)), arrays))


def plain_forward(module: nnx.Module, **arguments: Any) -> Callable[..., Array]:
    """A function of arrays that calls a module whose weights are constants of it."""
    graph, state = nnx.split(module)

    def forward(*inputs: Array) -> Array:
        return nnx.merge(graph, state, copy=True)(*inputs, **arguments)

    return forward
