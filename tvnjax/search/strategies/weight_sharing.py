"""Searches that score candidates with a trained supernet's weights (Li and Talwalkar 2019, section 4).

Which networks are proposed is up to another strategy, random search or evolution, that is told their inherited fitness.
The best by that are then filtered by measurement and trained from scratch, like any strategy's candidates.
"""

import dataclasses

import numpy as np

from tvnjax.core.errors import InvalidInputError
from tvnjax.search.base import WAIT, Candidate, Proposal, Space, Strategy, Wait, as_proposal
from tvnjax.spaces.tvn.canonical import genotype_id
from tvnjax.spaces.tvn.genotype import Genotype
from tvnjax.spaces.tvn.relaxed import OperatorChoices, relax_plan
from tvnjax.spaces.tvn.search_space import Draw, space_at_plan
from tvnjax.spaces.tvn.shapes import Plan

_TRIES = 50
"""Mutations that may leave the compiled plans before a fresh network is drawn instead."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class SharingConfig:
    """How long candidates are scored with inherited weights, and how many are trained in the end. The supernet is
    trained for ``search.steps`` steps, on one path drawn uniformly at a time."""

    candidates: int = 200
    """Networks scored with inherited weights."""
    finalists: int = 3
    """The best of them that are measured within the budget and trained from scratch."""
    fine_tune_steps: int = 20
    """Steps that each network's inherited weights are trained for it alone before it is scored. Shared weights serve
    some networks worse than others, and a few steps take back much of that (README, "Scores with inherited weights").
    """

    def __post_init__(self) -> None:
        if self.fine_tune_steps < 0:
            raise InvalidInputError(f"sharing.fine_tune_steps is 0 or above; got {self.fine_tune_steps}")
        if not 1 <= self.finalists <= self.candidates:
            raise InvalidInputError(
                f"finalists are 1 to candidates of the candidates; got finalists {self.finalists} and candidates "
                f"{self.candidates}"
            )


class WeightSharing:
    """Proposes what another strategy does, for scoring with inherited weights, then the best of it for training.

    Args:
        proposer: told the inherited fitness of its proposals.
    """

    def __init__(self, name: str, proposer: Strategy, config: SharingConfig):
        self.name, self._proposer, self._config = name, proposer, config
        self._scored: list[Candidate] = []
        self._proposed = self._away = self._trained = 0
        self._finals: list[Genotype] | None = None

    def ask(self) -> Proposal | Wait | None:
        if self._finals is None and self._proposed < self._config.candidates:
            asked = self._proposer.ask()
            if isinstance(asked, Wait):
                return WAIT
            if asked is not None:
                self._proposed += 1
                self._away += 1
                return dataclasses.replace(as_proposal(asked), scoring="inherited")
        if self._finals is None:
            if self._away:
                return WAIT
            best = sorted(self._scored, key=lambda candidate: -candidate.fitness)
            self._finals = list({candidate.id: candidate.genotype for candidate in best}.values())
        if self._trained + self._away < self._config.finalists and self._finals:
            self._away += 1
            return Proposal(genotype=self._finals.pop(0))
        return WAIT if self._away and self._finals else None

    def tell(self, candidate: Candidate) -> None:
        self._away -= 1
        if candidate.scoring == "inherited":
            self._proposer.tell(candidate)
            if candidate.fitness > float("-inf"):
                self._scored.append(candidate)
        else:
            self._trained += candidate.fitness > float("-inf")


class CoveredSpace:
    """The part of a search space that a supernet's compiled plans cover.

    Args:
        space: the whole one.
        plans: those compiled.
        operators: what is relaxed in each.
    """

    def __init__(self, space: Space, plans: list[Plan], operators: OperatorChoices):
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

    def mutate(self, genotype: Genotype, rng: np.random.Generator, *, draw: Draw = "gene") -> Genotype:
        """One gene changed, within the plans; a fresh network where that is not met."""
        for _ in range(_TRIES):
            mutant = self._space.mutate(genotype, rng, draw=draw)
            if self.plan_of(mutant) is not None and genotype_id(mutant) != genotype_id(genotype):
                return mutant
        return self.sample(rng)
