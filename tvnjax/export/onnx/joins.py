"""The ONNX form of what joins arrays: branches on one input, and several inputs of a unit."""

import numpy as np

from tvnjax import graph
from tvnjax.export.onnx.graph import Flow, OnnxGraph, add_join, add_layer
from tvnjax.nn.layers import Branches, Fuse, Merge


@add_layer.register
def _(layer: graph.Branches, module: Branches, to: OnnxGraph) -> None:
    entry, ends = to.flow, []
    for branch, modules in zip(layer.branches, module.branches, strict=True):
        to.flow = entry
        to.chain(branch, modules)
        to.turn("frames")
        ends.append(to.flow)
    _merge(layer.merge, ends, to)


@add_join.register
def _(join: graph.Merge, module: Merge, inputs: list[Flow], to: OnnxGraph) -> None:
    _merge(join, inputs, to)


@add_join.register
def _(join: graph.Fuse, module: Fuse, inputs: list[Flow], to: OnnxGraph) -> None:
    groups: dict[int, list[str]] = {}
    for number, (flow, window) in enumerate(zip(inputs, join.windows, strict=True)):
        to.flow = flow
        if window != (1, 1, 1):
            pooled = join.out_shape._replace(c=flow.shape.c)
            pool = graph.Pool(in_shape=flow.shape, out_shape=pooled, kind="max", window=window, stride=window)
            to.layer(pool, None)
        at = to.turn("frames")
        if module.gates is not None:
            gate = 1 / (1 + np.exp(-np.asarray(module.gates[...], np.float64)[number]))
            at = to.node("Mul", [at, to.constant(np.float32(gate))])
        groups.setdefault(flow.shape.c, []).append(at)
    sums = {channels: _sum(arrays, to) for channels, arrays in groups.items()}
    for channels, kernel in zip(join.projected, module.kernels, strict=True):
        weights = np.transpose(np.asarray(kernel[...], np.float32)[0], (3, 2, 0, 1))
        sums[channels] = to.node("Conv", [sums[channels], to.constant(weights)], kernel_shape=[1, 1])
    to.flow = Flow(_sum(list(sums.values()), to), join.out_shape, "frames")


def _merge(merge: graph.Merge, inputs: list[Flow], to: OnnxGraph) -> None:
    arrays = []
    for flow in inputs:
        to.flow = flow
        arrays.append(to.turn("frames"))
    if len(arrays) == 1:
        at = arrays[0]
    elif merge.how == "concat":
        at = to.node("Concat", arrays, axis=1)
    else:
        at = to.node({"sum": "Sum", "mean": "Mean"}[merge.how], arrays)
    to.flow = Flow(at, merge.out_shape, "frames")


def _sum(arrays: list[str], to: OnnxGraph) -> str:
    return to.node("Sum", arrays) if len(arrays) > 1 else arrays[0]
