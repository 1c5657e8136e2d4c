"""The TVN space as a search by gradient sees it."""

import dataclasses
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from tvnjax.graph import HeadKind, Network
from tvnjax.nn.convolution import default_form
from tvnjax.spaces.base import Reads
from tvnjax.spaces.relaxing import Choice, Extreme, KeyWeights, LayerCost, Weights
from tvnjax.spaces.tvn.costs.bounds import AnyCost, extreme_genotype, extreme_network
from tvnjax.spaces.tvn.costs.discretize import discretize
from tvnjax.spaces.tvn.costs.memory import ExpectedMemory
from tvnjax.spaces.tvn.costs.of_space import expected_cost
from tvnjax.spaces.tvn.costs.sampling_design import covering_genotypes
from tvnjax.spaces.tvn.genotype import Genotype
from tvnjax.spaces.tvn.relaxation.covered import CoveredSpace
from tvnjax.spaces.tvn.relaxation.diagnostics import describe, marginals, shape_marginals
from tvnjax.spaces.tvn.relaxation.room import RoomyDraws, check_weights
from tvnjax.spaces.tvn.relaxation.supernet import Supernet
from tvnjax.spaces.tvn.relaxation.working_set import WorkingSet, likeliest
from tvnjax.spaces.tvn.relaxed import OperatorChoices, RelaxedPlan, relax_plan
from tvnjax.spaces.tvn.search_space import SearchSpace
from tvnjax.spaces.tvn.shapes import Plan, ShapeKey, ShapeSpace


class TvnRelaxation:
    """Plans are assignments of the shape genes; inside each the operator genes are mixed. See ``Relaxation`` for what
    the methods mean.

    Args:
        shapes: the plans.
        operators: what is relaxed inside each.
    """

    def __init__(self, shapes: ShapeSpace, operators: OperatorChoices):
        self.shapes, self.operators = shapes, operators

        blocks = [operators.filters(top) for block in shapes.choices.blocks for top in block.filters]
        self._widths = tuple(sorted({max(f * e, f) for filters in blocks for f in filters for e in operators.expand}))

    @property
    def keys(self) -> Sequence[ShapeKey]:
        return self.shapes.keys

    @property
    def searched(self) -> Sequence[ShapeKey]:
        return self.shapes.searched

    @property
    def longest(self) -> int:
        return len(self.shapes.choices.blocks)

    def values(self, key: ShapeKey) -> Sequence[int]:
        return self.shapes.values(key)

    def uniform(self) -> dict[ShapeKey, np.ndarray]:
        return self.shapes.uniform()

    def likeliest(self, weights: KeyWeights, plans: Sequence[Plan]) -> list[Plan]:
        return likeliest(self.shapes, weights, plans)

    def reads(self, plan: Plan) -> Reads:
        return Reads(plan.num_frames, plan.frame_stride, plan.image_size)

    def program(self, plan: Plan) -> Plan:
        """The distance between frames is an argument of the program."""
        return dataclasses.replace(plan, frame_stride=1)

    def prefixes(self, plan: Plan) -> list[Plan]:
        return self.shapes.prefixes(plan)

    def largest(self) -> RelaxedPlan:
        """Without the cap on attention: its logits are needed as soon as one plan may have it."""
        return relax_plan(self.shapes.largest(), dataclasses.replace(self.operators, non_local_tokens=10**9))

    def relaxed(self, plan: Plan) -> RelaxedPlan:
        return relax_plan(self.program(plan), self.operators)

    def supernet(
        self,
        plan: RelaxedPlan,
        num_classes: int,
        seed: int | None = 0,
        *,
        head: HeadKind = "mean",
        platform: str | None = None,
    ) -> Supernet:
        if seed is not None:
            check_weights(plan)
        form = default_form(platform)
        return Supernet(plan, num_classes, seed, form=form, head=head, room=self._widths)

    def working_set(
        self,
        size: int,
        rng: np.random.Generator,
        allowed: Callable[[Plan], bool] | None = None,
        most_weights: Callable[[], int | None] = lambda: None,
    ) -> WorkingSet:
        room = RoomyDraws(self.shapes, self.operators, most_weights)
        return WorkingSet(self.shapes, size, rng, allowed=allowed or (lambda plan: True), room=room)

    def covered(self, space: SearchSpace, plans: Sequence[Plan]) -> CoveredSpace:
        return CoveredSpace(space, list(plans), self.operators)

    def covering(self, count: int, rng: np.random.Generator) -> list[Genotype]:
        return covering_genotypes(self.shapes, self.operators, count, rng)

    def expected(
        self,
        layer_cost: LayerCost,
        num_classes: int,
        *,
        unit_cost: float = 0.0,
        constant: float = 0.0,
        head: HeadKind = "mean",
    ) -> AnyCost:
        options: dict[str, Any] = {"unit_cost": unit_cost, "constant": constant, "head": head}
        return expected_cost(self.shapes, self.operators, num_classes, layer_cost, **options)

    def expected_memory(self, num_classes: int, *, head: HeadKind = "mean") -> ExpectedMemory:
        return ExpectedMemory(self.shapes, self.operators, num_classes, head=head)

    def extreme(self, expected: AnyCost, which: Extreme, plan: Plan | None = None) -> Genotype:
        return extreme_genotype(expected, which) if plan is None else extreme_network(expected, plan, which)

    def discretize(
        self,
        weights: Weights,
        expected: AnyCost,
        plan: Plan,
        limit: float,
        *,
        floor: float = 0.0,
        count: int = 1,
        also: Sequence[tuple[Callable[[Network], float], float]] = (),
    ) -> list[Choice]:
        return discretize(weights, expected, plan, limit, floor=floor, count=count, also=also)

    def describe(self, weights: Weights, keys: KeyWeights) -> dict[str, Any]:
        return describe(self.largest().blocks, weights, keys)

    def marginals(self, weights: Weights, keys: KeyWeights) -> dict[str, Any]:
        return {
            "blocks": marginals(self.largest().blocks, weights),
            "shapes": shape_marginals(self.shapes, keys),
        }
