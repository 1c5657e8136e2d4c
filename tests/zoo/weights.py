"""Weights of a child by the order in which its layers run, for copying them to and from other implementations."""

from collections.abc import Iterator

import jax.numpy as jnp
import numpy as np
from flax import nnx

from tvnjax.nn.child import Child
from tvnjax.nn.layers import ContextGate, ConvNorm, Scale, SqueezeExcite
from tvnjax.nn.parts import BatchNorm


def parts(child: Child, *, shortcut_first: bool = False) -> Iterator[nnx.Module]:
    """Every ``ConvNorm``, ``BatchNorm``, ``Dense`` and ``Scale`` in the order in which it runs."""
    for unit in child.units:
        chains = [unit.layers, unit.shortcut or ()]
        for layer in (layer for chain in (reversed(chains) if shortcut_first else chains) for layer in chain):
            if isinstance(layer, ConvNorm):
                yield layer
                if layer.norm is not None:
                    yield layer.norm
            elif isinstance(layer, SqueezeExcite):
                yield from (layer.reduce, layer.restore)
            elif isinstance(layer, ContextGate):
                yield layer.dense
            elif isinstance(layer, Scale):
                yield layer
    if child.head.hidden is not None:
        yield child.head.hidden
    yield child.head.dense


def randomize(child: Child, seed: int = 0, scalars: tuple[float, float] = (0.5, 1.0)) -> None:
    """Random weights and statistics for everything that keep values of order 1.

    Args:
        scalars: range of those that weigh residual branches and start at 0. In a deep network large ones let rounding
            grow: with the usual ones MoViNet-A5 in float32 is 2.6e-4 from itself in float64.
    """
    rng = np.random.default_rng(seed)

    def draw(variable: nnx.Variable, low: float, high: float) -> None:
        variable[...] = jnp.asarray(rng.uniform(low, high, variable.shape), jnp.float32)

    for part in parts(child):
        if isinstance(part, BatchNorm):
            for variable, low, high in (
                (part.scale, 0.8, 1.2),
                (part.bias, -0.2, 0.2),
                (part.mean, -0.2, 0.2),
                (part.var, 0.7, 1.3),
            ):
                draw(variable, low, high)
        elif isinstance(part, Scale):
            draw(part.scale, *scalars)
        elif part.bias is not None:
            draw(part.bias, -0.2, 0.2)
