"""An own operator in a supernet: what a layer that people write computes at every width that may come in."""

from collections.abc import Sequence
from typing import Any

import jax.numpy as jnp
import numpy as np
from flax import nnx
from jax import Array

from tvnjax.core.errors import InvalidInputError
from tvnjax.graph import Shape
from tvnjax.nn.convolution import Form
from tvnjax.nn.layers import build_layer
from tvnjax.nn.parts import Initializer, times
from tvnjax.spaces.tvn.operators import Operator
from tvnjax.spaces.tvn.own_operators import Axis, OwnOperator
from tvnjax.spaces.tvn.relaxation.masks import Widths, fit_channels

Place = tuple[Axis, int]
"""Of an operator: its axis, and its stride along it."""


class OwnPath(nnx.Module):
    """One own operator, run once for each width and weighed by how likely the width is.

    Nothing is known of what it does with channels: zeros behind the last one need not leave the others as they are. So
    it runs on arrays of each width as its network would; its variables at a width are the leading corners of the
    widest's, ``module``.

    Args:
        operator: an own kind and its kernel.
        before: of the input, channels aside.
        widths: that may come in.
        room: further widths, of other plans, whose variables ``module`` has to hold.
        init: draws the weights.
        form: see ``convolution.Form``.

    Raises:
        InvalidInputError: the layer's module has other variables at another width.
    """

    def __init__(
        self,
        operator: Operator,
        place: Place,
        before: Shape,
        widths: Sequence[int],
        room: Sequence[int],
        init: Initializer,
        form: Form,
    ):
        kind, kernel = operator
        assert isinstance(kind, OwnOperator)
        axis, stride = place

        def build(width: int) -> Any:
            return build_layer(kind.place(before._replace(c=width), kernel, stride, axis), init, form)

        self.widths = tuple(sorted(widths))
        modules = [build(width) for width in self.widths]
        states = [dict(nnx.to_flat_state(nnx.state(module))) for module in modules]
        self.forms = _Forms([nnx.graphdef(module) for module in modules])
        self.shapes = tuple(tuple((path, leaf[...].shape) for path, leaf in state.items()) for state in states)
        others = [w for w in room if w < self.widths[-1] and w not in self.widths]
        spaces = [dict(nnx.to_flat_state(nnx.state(nnx.eval_shape(lambda w=w: build(w))))) for w in others]
        if any(set(state) != set(states[0]) for state in [*states, *spaces]):
            raise InvalidInputError(
                f"the variables of an own operator are the same ones at every width; those of {kind} differ between "
                f"widths {sorted([*self.widths, *others])}: build the same parts always"
            )
        self.module = modules[-1]
        for path, leaf in nnx.to_flat_state(nnx.state(self.module)):
            largest = tuple(np.max([state[path].shape for state in [*states, *spaces]], axis=0, initial=0).tolist())
            if largest == leaf.shape and len(states) == 1:
                continue
            whole = jnp.zeros(largest, leaf.dtype)
            for state in states:
                whole = whole.at[_corner(state[path].shape)].set(state[path][...])
            leaf.set_value(whole)

    def __call__(self, x: Array, widths: Widths, width: int, *, train: bool, momentum: float | Array) -> Array:
        """``[B, T, H, W, C]`` to ``[B, T', H', W', width]``."""
        shared = dict(nnx.to_flat_state(nnx.state(self.module)))
        moved = {path: leaf[...] for path, leaf in shared.items() if isinstance(leaf, nnx.BatchStat)}
        before = dict(moved)
        total: Any = 0.0
        for size, form, shapes in zip(self.widths, self.forms.graphs, self.shapes):
            likely = widths.probabilities[widths.sizes.index(size)]
            parts = [(path, shared[path].replace(shared[path][...][_corner(shape)])) for path, shape in shapes]
            module = nnx.merge(form, nnx.from_flat_state(parts), copy=True)
            y = module(x[..., :size], train=train, momentum=momentum)
            total = total + times(likely, fit_channels(y, width))
            for path, leaf in nnx.to_flat_state(nnx.state(module, nnx.BatchStat)):
                corner = _corner(leaf[...].shape)
                # As much as the width counts: a single network's statistics are then its own.
                moved[path] = moved[path].at[corner].add(likely * (leaf[...] - before[path][corner]))
        for path, leaf in nnx.to_flat_state(nnx.state(self.module, nnx.BatchStat)):
            leaf[...] = moved[path]
        return total


class _Forms:
    """Static parts of the modules, compared as one object."""

    def __init__(self, graphs: Sequence[Any]):
        self.graphs = tuple(graphs)


def _corner(shape: Sequence[int]) -> tuple[slice, ...]:
    return tuple(slice(size) for size in shape)
