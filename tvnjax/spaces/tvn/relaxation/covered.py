"""The networks that a supernet of some plans covers."""

from typing import Any

import numpy as np

from tvnjax.spaces.base import Choose, Draw, Reads
from tvnjax.spaces.tvn.genotype import Genotype
from tvnjax.spaces.tvn.relaxed import OperatorChoices, relax_plan
from tvnjax.spaces.tvn.search_space import SearchSpace, space_at_plan
from tvnjax.spaces.tvn.shapes import Plan

_TRIES = 50
"""Mutations that may leave the compiled plans before a fresh network is drawn instead."""


class CoveredSpace:
    """The part of a search space that a supernet's compiled plans cover.

    Args:
        space: the whole one.
        plans: those compiled.
        operators: what is relaxed in each.
    """

    def __init__(self, space: SearchSpace, plans: list[Plan], operators: OperatorChoices):
        self._space, self._plans = space, plans
        self._relaxed = [relax_plan(plan, operators) for plan in plans]
        self._inside = [space_at_plan(plan, operators) for plan in plans]

    def plan_of(self, genotype: Genotype) -> Plan | None:
        """The compiled plan a network is of."""
        for plan, relaxed in zip(self._plans, self._relaxed):
            sizes = (plan.image_size, plan.num_frames, plan.frame_stride if plan.num_frames > 1 else 1)
            if sizes != (genotype.image_size, genotype.num_frames, genotype.frame_stride):
                continue
            fixed = ("spatial_stride", "temporal_stride", "repeats")
            if len(plan.blocks) != len(genotype.blocks) or any(
                getattr(a, gene) != getattr(b.fixed, gene)
                for a, b in zip(genotype.blocks, relaxed.blocks)
                for gene in fixed
            ):
                continue
            try:
                relaxed.encode(genotype)
            except ValueError:
                continue
            return plan
        return None

    def sample(self, rng: np.random.Generator) -> Genotype:
        """A network of a plan drawn uniformly."""
        return self._inside[int(rng.integers(len(self._inside)))].sample(rng)

    def assembled(self, choose: Choose) -> Genotype:
        """A network of a plan that is asked for first."""
        plan = choose("plan", range(len(self._plans)))
        return self._inside[plan].assembled(lambda name, values: choose(f"plan {plan}: {name}", values))

    def mutate(self, genotype: Genotype, rng: np.random.Generator, *, draw: Draw = "gene") -> Genotype:
        """One gene changed, within the plans; a fresh network where that is not met."""
        for _ in range(_TRIES):
            mutant = self._space.mutate(genotype, rng, draw=draw)
            if self.plan_of(mutant) is not None and mutant.id != genotype.id:
                return mutant
        return self.sample(rng)

    @property
    def reads(self) -> Reads:
        return self._space.reads

    @property
    def log10_size(self) -> float:
        """An upper bound: of the whole space."""
        return self._space.log10_size

    def refined(self) -> SearchSpace:
        """Of the whole space: what it adds is in no plan."""
        return self._space.refined()

    def relax(self) -> None:
        """A part of a space has no plans of its own."""

    def to_json(self) -> Any:
        """Of the whole space."""
        return self._space.to_json()
