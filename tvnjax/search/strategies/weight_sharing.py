"""Searches that score candidates with a trained supernet's weights (Li and Talwalkar 2019, section 4).

Which networks are proposed is up to another strategy, random search or evolution, that is told their inherited fitness.
The best by that are then filtered by measurement and trained from scratch, like any strategy's candidates.
"""

import dataclasses

from tvnjax.core.errors import InvalidInputError
from tvnjax.search.base import WAIT, AskTell, Candidate, Proposal, Wait, as_proposal
from tvnjax.spaces.base import Genotype


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

    def __init__(self, name: str, proposer: AskTell, config: SharingConfig):
        self.name, self._proposer, self._config = name, proposer, config
        self._scored: list[Candidate] = []
        self._asked = self._away = self._trained = 0
        self._finals: list[Genotype] | None = None

    def ask(self) -> Proposal | Wait | None:
        if self._finals is None and self._asked < self._config.candidates:
            asked = self._proposer.ask()
            if isinstance(asked, Wait):
                return WAIT
            if asked is not None:
                self._asked += 1
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
