"""Networks that a relaxed space tends to, and some around them, all predicted within a limit.

Draws are by Gumbel noise on the log-probabilities of all choices, then the likeliest network within the limit under
those: a draw from the relaxed space as far as its networks keep the budget, none of it spent on those that do not.
"""

import dataclasses
from collections.abc import Sequence
from functools import partial
from typing import Any, Literal

import numpy as np

from tvnjax.search.budget import Costs
from tvnjax.spaces.base import Genotype, Space
from tvnjax.spaces.relaxing import Plan, Relaxation

Origin = Literal["likeliest", "drawn", "near"]
"""The likeliest of a plan; drawn from the relaxed space; a mutation of a network that ranked high."""

_TRIES = 20
"""Draws, or mutations, for each network that is wanted, which may have been met before or be over the limit."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class Proposed:
    """A network to be looked at."""

    genotype: Genotype
    plan: Plan
    predicted_ms: float
    origin: Origin


class Proposals:
    """Proposes every network once.

    Args:
        costs: whose budgets hold, by prediction.
        rng: of draws and mutations.
    """

    def __init__(self, relaxation: Relaxation, costs: Costs, rng: np.random.Generator):
        self._relaxation, self._costs, self._rng = relaxation, costs, rng
        self._met: set[str] = set()

    def likeliest(self, genes: Any, plan: Plan, limit_ms: float, count: int) -> list[Proposed]:
        """The ``count`` likeliest networks of a plan that were not proposed before, likeliest first."""
        return self._new(self._within(genes, plan, limit_ms, count + len(self._met)), plan, "likeliest")[:count]

    def drawn(
        self, genes: Any, plans: Sequence[Plan], p: np.ndarray, uniform: float, limit_ms: float
    ) -> Proposed | None:
        """A network drawn from the relaxed space; ``None`` where none is new.

        Args:
            genes: probabilities of the choices inside a plan.
            p: ``[plans]``, their probabilities.
            uniform: part of each that every candidate, and every plan, has alike.
        """
        p = (1 - uniform) * p + uniform / len(plans)
        for _ in range(_TRIES):
            plan = plans[int(self._rng.choice(len(plans), p=p))]
            new = self._new(self._within(self._noisy(genes, uniform), plan, limit_ms, 1), plan, "drawn")
            if new:
                return new[0]
        return None

    def near(self, best: Sequence[Proposed], space: Space, plans: Sequence[Plan], limit_ms: float) -> Proposed | None:
        """A mutation of one of some networks, within the plans; ``None`` where none is new."""
        covered = self._relaxation.covered(space, plans)
        for _ in range(_TRIES):
            parent = best[int(self._rng.integers(len(best)))]
            genotype = covered.mutate(parent.genotype, self._rng)
            plan = covered.plan_of(genotype)
            if plan is None or genotype.id in self._met:
                continue
            network = genotype.lower(self._costs.ms.num_classes, head=self._costs.ms.head_kind)
            predicted = self._costs.ms.of_network(network)
            if predicted <= limit_ms and all(price(network) <= most for price, most in self._costs.counted()):
                self._met.add(genotype.id)
                return Proposed(genotype=genotype, plan=plan, predicted_ms=predicted, origin="near")
        return None

    def _within(self, genes: Any, plan: Plan, limit_ms: float, count: int) -> list[Any]:
        discretize = partial(self._relaxation.discretize, genes, self._costs.ms, plan, limit_ms)
        return discretize(count=count, also=self._costs.counted())

    def _new(self, choices: Sequence[Any], plan: Plan, origin: Origin) -> list[Proposed]:
        new = [choice for choice in choices if choice.genotype.id not in self._met]
        found = [
            Proposed(genotype=choice.genotype, plan=plan, predicted_ms=choice.predicted_ms, origin=origin)
            for choice in new
        ]
        self._met.update(one.genotype.id for one in found)
        return found

    def _noisy(self, genes: Any, uniform: float) -> list[dict[str, np.ndarray]]:
        """Probabilities whose largest is drawn by the given ones (Gumbel-max)."""
        noisy = []
        for row in genes:
            drawn = {}
            for gene, p in row.items():
                mixed = (1 - uniform) * np.asarray(p, float) + uniform / len(p)
                scores = np.log(np.maximum(mixed, 1e-12)) + self._rng.gumbel(size=len(p))
                drawn[gene] = np.exp(scores - scores.max())
            noisy.append(drawn)
        return noisy
