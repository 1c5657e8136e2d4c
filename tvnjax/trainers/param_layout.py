"""All weights that plans share in one vector: an optimizer's step is then a handful of loops, whatever the network."""

from typing import Any

import jax.numpy as jnp
import numpy as np
from flax import nnx
from jax import Array

from tvnjax.core.errors import InvalidInputError
from tvnjax.trainers.outline import Outline, Path


class ParamLayout:
    """Where every array of weights stands in the vector.

    Args:
        params: of the largest plan's supernet, or of what else holds those of all that are trained.

    Raises:
        InvalidInputError: an array is not float32.
    """

    def __init__(self, params: nnx.State):
        self._leaves = [(path, leaf.replace(None), leaf.shape) for path, leaf in nnx.to_flat_state(params)]
        for path, leaf in nnx.to_flat_state(params):
            if leaf.dtype != jnp.float32:
                raise InvalidInputError(
                    f"a supernet's weights are float32; {'.'.join(map(str, path))} is {leaf.dtype}: make its layer's "
                    "variables float32"
                )
        sizes = [int(np.prod(shape)) for _, _, shape in self._leaves]
        self._ends = np.cumsum([0, *sizes]).tolist()
        self.size = self._ends[-1]
        """Weights in all."""

    @classmethod
    def of(cls, arrays: Outline) -> "ParamLayout":
        """Of arrays that are not there yet."""
        views = {path: np.broadcast_to(np.float32(0), sketch.shape) for path, sketch in arrays.items()}
        return cls(nnx.from_flat_state([(path, nnx.Param(view)) for path, view in views.items()]))

    @property
    def shapes(self) -> dict[Path, tuple[int, ...]]:
        """Of every array, in the vector's order."""
        return {path: shape for path, _, shape in self._leaves}

    def on_host(self, vector: np.ndarray) -> dict[Path, np.ndarray]:
        """The arrays of a vector, as views of it."""
        pairs = zip(self._leaves, self._ends, self._ends[1:])
        return {path: vector[a:b].reshape(shape) for (path, _, shape), a, b in pairs}

    def flatten(self, params: nnx.State) -> Array:
        """The vector of weights, or of their gradients."""
        whole = dict(nnx.to_flat_state(params))
        parts = [whole[path][...].reshape(-1) for path, _, _ in self._leaves]
        return jnp.concatenate(parts) if parts else jnp.zeros(0)

    def unflatten(self, vector: Any) -> nnx.State:
        """The arrays by their names."""
        pairs = zip(self._leaves, self._ends, self._ends[1:])
        return nnx.from_flat_state([(path, leaf.replace(vector[a:b].reshape(s))) for (path, leaf, s), a, b in pairs])

    def decayed(self, vector: Array) -> Array:
        """The weights that decay, kernels and matrices; 0 for biases and batch-norm vectors."""
        pairs = zip(self._leaves, self._ends, self._ends[1:])
        parts = [vector[a:b] if len(shape) > 1 else jnp.zeros(b - a) for (_, _, shape), a, b in pairs]
        return jnp.concatenate(parts) if parts else vector
