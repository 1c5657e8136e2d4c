"""Budgets a network must keep, and the costs a search weighs against them."""

import dataclasses
from collections.abc import Callable
from typing import Any

import jax.numpy as jnp
from jax import Array

from tvnjax.core.errors import InvalidInputError
from tvnjax.graph import Network
from tvnjax.latency.memory import memory_mb
from tvnjax.spaces.relaxing import ExpectedCost


@dataclasses.dataclass(frozen=True, kw_only=True)
class Budget:
    """What a network may cost; the paper filters by all three (section 3.3)."""

    ms: float | None = None
    """Latency on this device, measured. Default: half the largest network's."""
    params: int | None = None
    """Trainable parameters. Default: no limit."""
    memory_mb: float | None = None
    """Peak memory of one clip in MiB: float32 parameters plus the largest working set of a layer. Default: no limit."""

    def __post_init__(self) -> None:
        for field in dataclasses.fields(self):
            value = getattr(self, field.name)
            if value is not None and not value > 0:
                raise InvalidInputError(f"budget.{field.name} is above 0; got {value}")

    def exceeded(self, network: Network) -> str | None:
        """Which of the counted budgets (all but the milliseconds) a network breaks, in words."""
        if self.params is not None and network.params > self.params:
            return f"{network.params:,} parameters, over {self.params:,}"
        if self.memory_mb is not None and (needed := memory_mb(network)) > self.memory_mb:
            return f"{needed:.3g} MiB at its peak, over {self.memory_mb:.3g}"
        return None


@dataclasses.dataclass(frozen=True, kw_only=True)
class Costs:
    """Expected costs of the relaxed network, each with its budget."""

    ms: ExpectedCost
    predict: Callable[[Network], float]
    """Milliseconds of a lowered network."""
    budget: Budget
    params: ExpectedCost | None = None
    """Needed with a budget of parameters."""
    memory_mb: Callable[[Any, Any], Array] | None = None
    """Expected peak MiB of gene and shape weights; needed with a budget of memory."""

    def __post_init__(self) -> None:
        assert self.budget.ms is not None, "the budget's milliseconds are decided before the search"

    @property
    def names(self) -> tuple[str, ...]:
        """Of the constraints, in the order of ``parts``."""
        limits = (self.budget.ms, self.budget.params, self.budget.memory_mb)
        return tuple(name for name, limit in zip(("ms", "params", "memory_mb"), limits) if limit is not None)

    def parts(self, weights: Any, shapes: Any) -> Array:
        """Expected costs as parts of their budgets, ``[constraints]``."""
        assert self.budget.ms is not None
        values = [self.ms(weights, shapes) / self.budget.ms]
        if self.budget.params is not None:
            assert self.params is not None
            values.append(self.params(weights, shapes) / self.budget.params)
        if self.budget.memory_mb is not None:
            assert self.memory_mb is not None
            values.append(self.memory_mb(weights, shapes) / self.budget.memory_mb)
        return jnp.stack(values)

    def counted(self) -> list[tuple[Callable[[Network], float], float]]:
        """The budgets that are counted, not measured: a cost of a lowered network, and the most it may be."""
        limits = [(lambda network: float(network.params), self.budget.params), (memory_mb, self.budget.memory_mb)]
        return [(cost, float(most)) for cost, most in limits if most is not None]
