"""A chain as a search by gradient sees it: one plan, one choice at each position."""

import dataclasses
import heapq
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import numpy as np

from tvnjax.graph import HeadKind, Network
from tvnjax.nn.convolution import default_form
from tvnjax.spaces.base import Reads
from tvnjax.spaces.chain.relaxation.expected import ChainCost, ChainMemory
from tvnjax.spaces.chain.relaxation.supernet import ChainSupernet
from tvnjax.spaces.chain.space import GENE, ChainGenotype, ChainSpace
from tvnjax.spaces.relaxing import Choice, Extreme, LayerCost, Weights

_MOST_DRAWN = 100_000
"""Networks looked at, likeliest first, before those found are all there are."""


@dataclasses.dataclass(frozen=True)
class ChainPart:
    """The choice of one position."""

    names: tuple[str, ...]

    @property
    def genes(self) -> tuple[str, ...]:
        return (GENE,)

    @property
    def active(self) -> tuple[str, ...]:
        return (GENE,) if len(self.names) > 1 else ()

    def candidates(self, gene: str) -> tuple[str, ...]:
        return self.names

    def legal(self, gene: str) -> np.ndarray:
        return np.ones(len(self.names), bool)

    def default(self, gene: str) -> int:
        return 0


@dataclasses.dataclass(frozen=True)
class ChainPlan:
    """The only plan, relaxed or not."""

    blocks: tuple[ChainPart, ...]

    def encode(self, genotype: ChainGenotype) -> tuple[dict[str, int], ...]:
        return tuple({GENE: index} for index in genotype.chosen)

    def __str__(self) -> str:
        return " x ".join(str(len(part.names)) for part in self.blocks)


class OnePlan:
    """A working set of the only plan. See ``WorkingSet`` for what the methods mean."""

    passed_over = 0

    def __init__(self, plan: ChainPlan):
        self._plan, self.seen = plan, []

    @property
    def programs(self) -> list[ChainPlan]:
        return list(self.seen)

    plans = programs

    @property
    def views(self) -> list[list[ChainPlan]]:
        return [[plan] for plan in self.seen]

    def members_of(self, program: ChainPlan) -> list[ChainPlan]:
        return [program]

    def fill(self, weights: Any) -> list[ChainPlan]:
        new = [] if self.seen else [self._plan]
        self.seen = [self._plan]
        return new

    renew = fill

    def drop(self, program: ChainPlan) -> None:
        del program
        self.seen = []

    def probabilities(self, weights: Any) -> np.ndarray:
        return np.ones(len(self.seen))

    def scored(self, losses: Sequence[float]) -> None:
        """One plan is not compared with any."""

    def scores(self) -> np.ndarray:
        return np.zeros(len(self.seen), np.float32)

    def members(self) -> dict[Any, Any]:
        return {}

    def capture(self) -> dict[str, Any]:
        return {"filled": bool(self.seen)}

    def restore(self, state: dict[str, Any]) -> None:
        self.seen = [self._plan] if state["filled"] else []


class CoveredChain:
    """A whole chain, whose one plan covers it."""

    def __init__(self, space: ChainSpace, plan: ChainPlan):
        self._space, self._plan = space, plan
        self.sample, self.mutate, self.refined = space.sample, space.mutate, space.refined
        self.assembled = space.assembled
        self.to_json, self.log10_size, self.reads = space.to_json, space.log10_size, space.reads

    def relax(self) -> None:
        """It is of a relaxation already."""

    def plan_of(self, genotype: ChainGenotype) -> ChainPlan:
        return self._plan


class ChainRelaxation:
    """See ``Relaxation`` for what the methods mean."""

    keys: Sequence[Any] = ()
    searched: Sequence[Any] = ()

    def __init__(self, space: ChainSpace):
        self.space = space
        self.plan = ChainPlan(tuple(ChainPart(tuple(o.name for o in options)) for options in space.options))

    @property
    def longest(self) -> int:
        return len(self.plan.blocks)

    def values(self, key: Any) -> Sequence[Any]:
        raise KeyError(key)

    def uniform(self) -> dict[Any, np.ndarray]:
        return {}

    def likeliest(self, weights: Any, plans: Sequence[ChainPlan]) -> list[ChainPlan]:
        return list(plans)

    def reads(self, plan: ChainPlan) -> Reads:
        return self.space.reads

    def program(self, plan: ChainPlan) -> ChainPlan:
        return plan

    def prefixes(self, plan: ChainPlan) -> list[ChainPlan]:
        return [plan]

    def largest(self) -> ChainPlan:
        return self.plan

    def relaxed(self, plan: ChainPlan) -> ChainPlan:
        return plan

    def supernet(
        self,
        plan: ChainPlan,
        num_classes: int,
        seed: int | None = 0,
        *,
        head: HeadKind = "mean",
        platform: str | None = None,
    ) -> ChainSupernet:
        return ChainSupernet(self.space, num_classes, seed, head=head, form=default_form(platform))

    def working_set(
        self,
        size: int,
        rng: np.random.Generator,
        allowed: Callable[[ChainPlan], bool] | None = None,
        most_weights: Callable[[], int | None] = lambda: None,
    ) -> OnePlan:
        return OnePlan(self.plan)

    def covered(self, space: ChainSpace, plans: Sequence[ChainPlan]) -> CoveredChain:
        return CoveredChain(space, self.plan)

    def covering(self, count: int, rng: np.random.Generator) -> list[ChainGenotype]:
        """Every option of a position as often as any other, in an order of its own."""
        columns = []
        for options in self.space.options:
            n = len(options)
            columns.append(np.concatenate([rng.permutation(n) for _ in range(-(-count // n))])[:count])
        return [self.space.genotype(row) for row in np.stack(columns, axis=1).tolist()]

    def expected(
        self,
        layer_cost: LayerCost,
        num_classes: int,
        *,
        unit_cost: float = 0.0,
        constant: float = 0.0,
        head: HeadKind = "mean",
    ) -> ChainCost:
        return ChainCost(self.space, num_classes, layer_cost, unit_cost=unit_cost, constant=constant, head=head)

    def expected_memory(self, num_classes: int, *, head: HeadKind = "mean") -> ChainMemory:
        return ChainMemory(self.space, num_classes, head=head)

    def extreme(self, expected: ChainCost, which: Extreme, plan: ChainPlan | None = None) -> ChainGenotype:
        return expected.extreme(which)

    def discretize(
        self,
        weights: Weights,
        expected: ChainCost,
        plan: ChainPlan,
        limit: float,
        *,
        floor: float = 0.0,
        count: int = 1,
        also: Sequence[tuple[Callable[[Network], float], float]] = (),
    ) -> list[Choice]:
        """Exact where the chain has at most ``_MOST_DRAWN`` networks; beyond, those among the likeliest so many."""
        found: dict[str, Choice] = {}
        for score, chosen in _likeliest([np.asarray(p[GENE], float) for p in weights]):
            genotype = self.space.genotype(chosen)
            network = genotype.lower(expected.num_classes, head=expected.head_kind)
            cost = expected.of_network(network)
            if floor < cost <= limit and all(price(network) <= most for price, most in also):
                choice = Choice(genotype=genotype, log_probability=score, predicted_ms=cost)
                found.setdefault(genotype.id, choice)
            if len(found) == count:
                break
        return list(found.values())

    def describe(self, weights: Weights, keys: Any) -> dict[str, Any]:
        """The mean entropy of the positions that have a choice."""
        decided = [_entropy(np.asarray(p[GENE], float)) for p in weights if len(p[GENE]) > 1]
        return {"entropy": float(np.mean(decided)) if decided else 0.0, "shape_entropy": 0.0}

    def marginals(self, weights: Weights, keys: Any) -> dict[str, Any]:
        blocks = [
            {gene: dict(zip(part.names, map(float, p[gene]))) for gene in part.active}
            for part, p in zip(self.plan.blocks, weights)
        ]
        return {"blocks": blocks, "shapes": {}}


def _likeliest(probabilities: Sequence[np.ndarray]) -> Iterator[tuple[float, tuple[int, ...]]]:
    """Networks and their log-probabilities, likeliest first; those of probability 0 are left out.

    From the likeliest one, each step takes the next likely option at one position, never before the position changed
    last, so that every network comes up once.
    """
    orders = [np.argsort(-p, kind="stable") for p in probabilities]
    logs = [np.log(np.maximum(p[order], 1e-300)) for p, order in zip(probabilities, orders)]
    counts = [int((p > 0).sum()) for p in probabilities]
    start = (0,) * len(orders)
    heap: list[tuple[float, tuple[int, ...], int]] = [(-sum(float(log[0]) for log in logs), start, 0)]
    for _ in range(_MOST_DRAWN):
        if not heap:
            return
        bound, ranks, first = heapq.heappop(heap)
        yield -bound, tuple(int(order[rank]) for order, rank in zip(orders, ranks))
        for position in range(first, len(ranks)):
            rank = ranks[position] + 1
            if rank < counts[position]:
                step = float(logs[position][rank] - logs[position][rank - 1])
                following = (*ranks[:position], rank, *ranks[position + 1 :])
                heapq.heappush(heap, (bound - step, following, position))


def _entropy(p: np.ndarray) -> float:
    return float(-(p * np.log(np.maximum(p, 1e-12))).sum() / np.log(len(p)))
