"""What a search by gradient asks of a space: its choices as weights, its costs in expectation, and the way back from
weights to networks.

Choices come in two kinds. Those *inside* a plan are weighed against each other by one compiled program: they stand
position by position (``RelaxedPlan.parts``), each under a name. Those *between* plans decide tensor sizes, and so what
is compiled; their values have probabilities by key. A space that has no sizes to choose has one plan and no keys.
"""

import dataclasses
from collections.abc import Callable, Hashable, Mapping, Sequence
from typing import Any, Literal, Protocol

import numpy as np

from tvnjax.graph import HeadKind, Layer, Network
from tvnjax.graph.head import Head
from tvnjax.spaces.base import Genotype, Reads, Space

Extreme = Literal["cheapest", "most_expensive"]

Weights = Sequence[Mapping[str, Any]]
"""For every position and choice the weights of its candidates, ``[candidates]``, summing to one."""

KeyWeights = Mapping[Any, Any]
"""For every key of a choice between plans the probabilities of its values, ``[values]``."""

LayerCost = Callable[[Layer | Head], float]


class RelaxedPart(Protocol):
    """The choices of one position in a plan."""

    @property
    def genes(self) -> tuple[str, ...]:
        """Names of its choices, in order."""
        ...

    @property
    def active(self) -> tuple[str, ...]:
        """Those with several legal candidates that change the network; the others get no gradient."""
        ...

    def candidates(self, gene: str) -> tuple[Any, ...]: ...

    def legal(self, gene: str) -> np.ndarray:
        """``[candidates]``: whether the plan can have each candidate."""
        ...

    def default(self, gene: str) -> int:
        """Index of what a choice that is not active takes."""
        ...


class RelaxedPlan(Protocol):
    """The networks of one plan, as candidates: what a supernet is built from."""

    @property
    def blocks(self) -> Sequence[RelaxedPart]: ...

    def encode(self, genotype: Any) -> tuple[dict[str, int], ...]:
        """Candidate indices of every position.

        Raises:
            ValueError: the genotype is of another plan.
        """
        ...


class Plan(Hashable, Protocol):
    """One assignment of what decides tensor sizes."""

    @property
    def blocks(self) -> Sequence[Any]:
        """Its positions."""
        ...


class WorkingSet(Protocol):
    """The few compiled plans that stand for all of them."""

    seen: list[Any]
    """Every plan that ever was a member."""
    passed_over: int
    """Draws so far that were made again, or cut short, because a plan would have had too many weights."""

    @property
    def programs(self) -> list[Any]:
        """The longest plan of every program."""
        ...

    @property
    def plans(self) -> list[Any]:
        """The members, program by program."""
        ...

    @property
    def views(self) -> list[list[Any]]:
        """The members that are trained together; the longest of them last."""
        ...

    def members_of(self, program: Any) -> list[Any]: ...
    def fill(self, weights: Any) -> list[Any]: ...
    def renew(self, weights: Any) -> list[Any]: ...
    def drop(self, program: Any) -> None: ...
    def probabilities(self, weights: Any) -> np.ndarray: ...
    def scored(self, losses: Sequence[float]) -> None: ...
    def scores(self) -> np.ndarray: ...
    def members(self) -> Any: ...
    def capture(self) -> dict[str, Any]: ...
    def restore(self, state: dict[str, Any]) -> None: ...


class ExpectedCost(Protocol):
    """A cost of the relaxed space: the exact mean over its networks under independent choices."""

    num_classes: int
    head_kind: HeadKind

    @property
    def errors(self) -> Mapping[str, float]:
        """By kind of layers: how far costs are off on average, as a part of them; empty where the mean is exact."""
        ...

    def __call__(self, weights: Any, keys: Any = None) -> Any:
        """A scalar, differentiable in both."""
        ...

    def of_network(self, network: Network) -> float:
        """The same cost of one network."""
        ...


@dataclasses.dataclass(frozen=True, kw_only=True)
class Choice:
    """One network that weights tend to."""

    genotype: Genotype
    log_probability: float
    predicted_ms: float


class Covered(Space, Protocol):
    """The networks of a space that some compiled plans have."""

    def plan_of(self, genotype: Any) -> Any | None:
        """The compiled plan a network is of."""
        ...


class Relaxation(Protocol):
    """A space as weights. What it returns of JAX is made when it is asked for."""

    @property
    def keys(self) -> Sequence[Any]:
        """Of all choices between plans."""
        ...

    @property
    def searched(self) -> Sequence[Any]:
        """Those of ``keys`` with several values."""
        ...

    @property
    def longest(self) -> int:
        """Positions of the longest plan."""
        ...

    def values(self, key: Any) -> Sequence[Any]: ...

    def uniform(self) -> dict[Any, np.ndarray]:
        """Equal probabilities for the values of every key."""
        ...

    def likeliest(self, weights: Any, plans: Sequence[Any]) -> list[Any]:
        """Plans by falling probability."""
        ...

    def reads(self, plan: Any) -> Reads:
        """What a plan's networks read."""
        ...

    def program(self, plan: Any) -> Any:
        """The plan whose program serves this one."""
        ...

    def prefixes(self, plan: Any) -> list[Any]:
        """The plans of a plan's first positions that are networks, from the shortest to the plan itself."""
        ...

    def largest(self) -> Any:
        """The relaxed plan whose supernet holds the weights of every other as leading slices."""
        ...

    def relaxed(self, plan: Any) -> Any:
        """What is relaxed in a plan's program."""
        ...

    def supernet(
        self,
        plan: Any,
        num_classes: int,
        seed: int | None = 0,
        *,
        head: HeadKind = "mean",
        platform: str | None = None,
    ) -> Any:
        """The ``nnx.Module`` of a relaxed plan: weights are ``nnx.Param``, logits ``ArchParam`` under ``alphas``; it
        has ``of_lengths`` as ``spaces.tvn.relaxation.supernet.Supernet`` has.

        Args:
            seed: of the weights. ``None``, which only a space with several plans is given: none are drawn, so that the
                module takes next to no memory however large the plan; see ``nn.parts.Initializer``.
            platform: that it is compiled for: its convolutions have the form that trains fastest there.
        """
        ...

    def working_set(
        self,
        size: int,
        rng: np.random.Generator,
        allowed: Callable[[Any], bool] | None = None,
        most_weights: Callable[[], int | None] = lambda: None,
    ) -> Any:
        """An empty ``WorkingSet`` of at most ``size`` programs.

        Args:
            most_weights: that a plan may have, asked at every draw; ``None``: any number. ``allowed`` says it of each
                plan; this is for draws that would otherwise hardly ever hit one.
        """
        ...

    def covered(self, space: Any, plans: Sequence[Any]) -> Any:
        """The ``Covered`` part of a space."""
        ...

    def covering(self, count: int, rng: np.random.Generator) -> list[Any]:
        """Genotypes that between them meet every candidate of every choice, as far as ``count`` of them can."""
        ...

    def expected(
        self,
        layer_cost: LayerCost,
        num_classes: int,
        *,
        unit_cost: float = 0.0,
        constant: float = 0.0,
        head: HeadKind = "mean",
    ) -> Any:
        """The ``ExpectedCost`` of a cost that is a sum over layers, units and a constant."""
        ...

    def expected_memory(self, num_classes: int, *, head: HeadKind = "mean") -> Callable[[Any, Any], Any]:
        """Expected MiB of parameters and of the largest working set, called like an ``ExpectedCost``."""
        ...

    def extreme(self, expected: Any, which: Extreme, plan: Any = None) -> Any:
        """The genotype of least or most cost, in all plans or in one."""
        ...

    def discretize(
        self,
        weights: Weights,
        expected: Any,
        plan: Any,
        limit: float,
        *,
        floor: float = 0.0,
        count: int = 1,
        also: Sequence[tuple[Callable[[Network], float], float]] = (),
    ) -> list[Choice]:
        """The ``count`` likeliest networks of a plan with a cost in (``floor``, ``limit``], likeliest first.

        Args:
            also: further costs of a network, and the most each may be.
        """
        ...

    def describe(self, weights: Weights, keys: Any) -> dict[str, Any]:
        """How decided the choices are, for the log: at least ``entropy`` and ``shape_entropy``, as parts of the
        largest."""
        ...

    def marginals(self, weights: Weights, keys: Any) -> dict[str, Any]:
        """Probabilities by name, for the log: ``blocks``, and ``shapes`` between plans."""
        ...
