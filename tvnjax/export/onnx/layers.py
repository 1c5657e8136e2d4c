"""The ONNX form of every primitive layer."""

from typing import Any

import numpy as np

from tvnjax import graph
from tvnjax.export.onnx.graph import OnnxGraph, add_layer
from tvnjax.nn.layers import ContextGate, ConvNorm, NonLocal, Scale, SqueezeExcite


@add_layer.register
def _(layer: graph.Conv, module: ConvNorm, to: OnnxGraph) -> None:
    kernel, bias = _folded(module)
    kernel = np.transpose(kernel, (4, 3, 0, 1, 2))
    pads, window, stride, kernel = to.window(layer, layer.kernel, layer.stride, kernel, centered=layer.centered)
    inputs = [to.at, to.constant(kernel), to.constant(bias)]
    to.at = to.node("Conv", inputs, kernel_shape=window, strides=stride, pads=pads, group=layer.groups)
    to.activate(layer.act)


@add_layer.register
def _(layer: graph.Pool, module: Any, to: OnnxGraph) -> None:
    pads, window, stride, _ = to.window(layer, layer.window, layer.stride)
    kind = "MaxPool" if layer.kind == "max" else "AveragePool"
    to.at = to.node(kind, [to.at], kernel_shape=window, strides=stride, pads=pads)


@add_layer.register
def _(layer: graph.SqueezeExcite, module: SqueezeExcite, to: OnnxGraph) -> None:
    means = to.frame_means() if layer.per_frame else to.clip_mean()
    hidden = to.activated(to.dense(means, module.reduce), layer.hidden_act)
    to.gate(to.dense(hidden, module.restore), layer.gate, to.shape.t if layer.per_frame else 1)
    to.activate(layer.act)


@add_layer.register
def _(layer: graph.ContextGate, module: ContextGate, to: OnnxGraph) -> None:
    to.gate(to.dense(to.clip_mean(), module.dense))


@add_layer.register
def _(layer: graph.NonLocal, module: NonLocal, to: OnnxGraph) -> None:
    t, h, w, c = to.shape
    columns = to.reshape(to.turn("time"), c, t * h * w)
    tokens = to.node("Transpose", [columns], perm=[1, 0])
    query, key, value = (to.dense(tokens, part) for part in (module.query, module.key, module.value))
    scores = to.node("MatMul", [query, to.node("Transpose", [key], perm=[1, 0])])
    read = to.node("MatMul", [to.node("Softmax", [scores], axis=-1), value])
    added = to.node("Transpose", [to.dense(read, module.out)], perm=[1, 0])
    to.at = to.node("Add", [to.at, to.reshape(added, 1, c, t, h * w)])


@add_layer.register
def _(layer: graph.Scale, module: Scale, to: OnnxGraph) -> None:
    to.at = to.node("Mul", [to.at, to.constant(np.asarray(module.scale[...], np.float32))])


def _folded(module: ConvNorm) -> tuple[np.ndarray, np.ndarray]:
    """Kernel and bias of a convolution with its normalisation as it evaluates."""
    kernel = np.asarray(module.kernel[...])
    bias = np.zeros(kernel.shape[-1], np.float32) if module.bias is None else np.asarray(module.bias[...])
    if module.norm is not None:
        mean, var, beta = (np.asarray(p[...]) for p in (module.norm.mean, module.norm.var, module.norm.bias))
        scale = np.asarray(module.norm.scale[...]) / np.sqrt(var + module.norm.epsilon)
        kernel, bias = kernel * scale, (bias - mean) * scale + beta
    return kernel.astype(np.float32), bias.astype(np.float32)
