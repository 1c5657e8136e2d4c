"""A network evaluated by its definition in NumPy, unit by unit: what each reads is looked up as its ``inputs`` say."""

from typing import Any

import numpy as np
from flax import nnx

from tests.nn.reference_layers import convolution, pool, windows
from tvnjax import graph
from tvnjax.graph import Network, Stream
from tvnjax.nn.child import Child


def scores(network: Network, child: Child, streams: list[np.ndarray]) -> np.ndarray:
    """``[B, classes]`` of arrays ``[B, T, H, W, C]``."""
    given: list[np.ndarray] = []
    for number, (unit, module) in enumerate(zip(network.units, child.units)):
        sources = unit.inputs or ((number - 1) if number else Stream(0),)
        inputs = [streams[s.index] if isinstance(s, Stream) else given[s] for s in sources]
        x = inputs[0] if unit.join is None else joined(unit.join, module.join, inputs)
        y = chain(unit.layers, module.layers, x)
        if unit.shortcut is not None:
            y = y + chain(unit.shortcut, module.shortcut, x)
        given.append(np.maximum(y, 0) if unit.act == "relu" else y)
        assert given[-1].shape[1:] == tuple(unit.out_shape)
    assert network.head.pool == "mean"
    mean = given[-1].mean((1, 2, 3))
    return mean @ np.asarray(child.head.dense.kernel[...]) + np.asarray(child.head.dense.bias[...])


def chain(layers: Any, modules: Any, x: np.ndarray) -> np.ndarray:
    for layer, module in zip(layers, modules, strict=True):
        x = one(layer, module, x)
    return x


def one(layer: graph.Layer, module: Any, x: np.ndarray) -> np.ndarray:
    if isinstance(layer, graph.Branches):
        ends = [chain(*pair, x) for pair in zip(layer.branches, module.branches, strict=True)]
        return np.concatenate(ends, -1) if layer.how == "concat" else np.sum(ends, 0)
    if isinstance(layer, graph.Pool):
        return pool(layer, x)
    if isinstance(layer, graph.Scale):
        return x * np.asarray(module.scale[...])
    assert isinstance(layer, graph.Conv)
    norm = {name: np.asarray(getattr(module.norm, name)[...]) for name in ("mean", "var", "scale", "bias")}
    return convolution(layer, x, np.asarray(module.kernel[...]), norm)


def joined(join: graph.Join, module: Any, inputs: list[np.ndarray]) -> np.ndarray:
    """A merge or a fusion: pool, gate, then a product for every input by itself (their sum may stand before it)."""
    if isinstance(join, graph.Merge):
        if join.how == "concat":
            return np.concatenate(inputs, -1)
        return np.mean(inputs, 0) if join.how == "mean" else np.sum(inputs, 0)
    height, width = (min(x.shape[axis] for x in inputs) for axis in (2, 3))
    widest = max(x.shape[-1] for x in inputs)
    counts = list(dict.fromkeys(x.shape[-1] for x in inputs if x.shape[-1] < widest))
    total = 0.0
    for number, x in enumerate(inputs):
        window = (1, (x.shape[2] + 1) // height, (x.shape[3] + 1) // width)
        x = windows(x, window, window, -np.inf).max(0)
        if len(inputs) > 1:
            x = x / (1 + np.exp(-np.asarray(module.gates[...])[number]))
        if x.shape[-1] < widest:
            x = x @ np.asarray(module.kernels[counts.index(x.shape[-1])][...])[0, 0, 0]
        total = total + x
    return np.asarray(total)


def disturbed(child: Child, rng: np.random.Generator) -> Child:
    """The module with weights and statistics none of which is at its start: gates of a half and norms of 1 would hide
    what is left out."""
    for _, leaf in nnx.to_flat_state(nnx.state(child)):
        leaf[...] = leaf[...] + np.abs(rng.standard_normal(leaf[...].shape)).astype(np.float32) * 0.3
    return child
