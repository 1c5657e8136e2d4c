"""Weights of the reference vectors, in the creation order of the released code."""

import math

import jax.numpy as jnp
import numpy as np
from flax import nnx

from tvnjax.nn.child import Child
from tvnjax.nn.layers import ContextGate, ConvNorm, SqueezeExcite
from tvnjax.nn.parts import BatchNorm, Dense


def fill(child: Child) -> list[nnx.Variable]:
    """Sets every variable of a child to the reference's random values; returns them in creation order."""
    variables: list[nnx.Variable] = []

    def draw(variable: nnx.Variable, kind: str) -> None:
        values = np.random.RandomState(1000 + len(variables)).standard_normal(variable.shape).astype(np.float32)
        if kind == "kernel":
            values = values * np.float32(math.sqrt(2 / math.prod(variable.shape[:-1])))
        else:
            values = {"gamma": 1 + 0.1 * values, "variance": np.exp(0.1 * values), "small": 0.1 * values}[kind]
        variable[...] = jnp.asarray(values, jnp.float32)
        variables.append(variable)

    def norm(layer: BatchNorm) -> None:
        for variable, kind in ((layer.scale, "gamma"), (layer.bias, "small"), (layer.mean, "small")):
            draw(variable, kind)
        draw(layer.var, "variance")

    def dense(layer: Dense) -> None:
        draw(layer.kernel, "kernel")
        draw(layer.bias, "small")

    def visit(layer: nnx.Module) -> None:
        if isinstance(layer, ConvNorm):
            draw(layer.kernel, "kernel")
            norm(layer.norm)
        elif isinstance(layer, SqueezeExcite):
            dense(layer.reduce)
            dense(layer.restore)
        elif isinstance(layer, ContextGate):
            dense(layer.dense)

    for unit in child.units:
        for layer in (*unit.layers, *(unit.shortcut or ())):
            visit(layer)
    dense(child.head.dense)
    return variables


def reference_input(num_frames: int, size: int) -> np.ndarray:
    """The reference's input: two clips, ``[2, T, S, S, 3]``."""
    frames = np.random.RandomState(7).random_sample((2 * num_frames, size, size, 3)).astype(np.float32)
    return frames.reshape(2, num_frames, size, size, 3)
