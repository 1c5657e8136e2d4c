"""Parts of a network whose insides are computed again for the gradient instead of being kept."""

from collections.abc import Callable
from typing import Any

import jax
from flax import nnx


def rematerialised(module: nnx.Module, function: Callable[..., Any], *operands: Any) -> Any:
    """``function(module, *operands)``, of which a gradient keeps the operands alone (Chen et al. 2016, "Training deep
    nets with sublinear memory cost").

    Running statistics move once, as without.

    Args:
        function: of arrays, or trees of them, which are all among ``operands`` (it closes over no tracer).
        operands: arrays, or trees of them.
    """
    graph, statistics, rest = nnx.split(module, nnx.BatchStat, ...)

    @jax.checkpoint
    def run(statistics: Any, rest: Any, *operands: Any) -> tuple[Any, Any]:
        copy = nnx.merge(graph, statistics, rest, copy=True)
        y = function(copy, *operands)
        return y, nnx.state(copy, nnx.BatchStat)

    y, moved = run(statistics, rest, *operands)
    nnx.update(module, moved)
    return y
