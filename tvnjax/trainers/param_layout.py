"""All weights that plans share in one vector: an optimizer's step is then a handful of loops, whatever the network."""

from typing import Any

import jax.numpy as jnp
import numpy as np
from flax import nnx
from jax import Array

from tvnjax.core.errors import InvalidInputError


class ParamLayout:
    """Where every array of weights stands in the vector.

    Args:
        params: of the largest plan's supernet.

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
