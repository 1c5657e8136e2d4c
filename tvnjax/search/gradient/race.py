"""Networks measured within the budget, and trained from scratch against each other."""

from collections import Counter
from collections.abc import Callable, Sequence

import numpy as np

from tvnjax.search.base import Candidate, Proposal
from tvnjax.search.cost_account import CostAccount
from tvnjax.search.gradient.projection_config import ProjectionConfig
from tvnjax.search.gradient.proposals import Proposed
from tvnjax.search.gradient.repeatability import Repeatability


class Race:
    """Measures networks in the order given until there are enough, then trains them, the better ones to the end.

    Args:
        heats: whether part of a training decides with the rank who goes on; otherwise the rank alone.
    """

    def __init__(self, config: ProjectionConfig, account: CostAccount, *, heats: bool = True):
        self._config, self._account, self._heats = config, account, heats
        self._repeated = Repeatability(config.confidence)
        # How much longer measured networks took than predicted.
        self._ratios: list[float] = []
        # The least prediction the filter refused without measuring.
        self._refused_ms = float("inf")
        self.passed_over: Counter[str] = Counter()
        """Networks of high rank that were not raced, by the reason."""
        self.finished: list[Candidate] = []
        """Those trained to the end and within the budget behind it."""

    @property
    def usable(self) -> bool:
        return bool(self.finished)

    @property
    def limit_ms(self) -> float:
        """Most milliseconds by prediction that a network within the budget has, corrected by what was measured."""
        ratio = float(np.median(self._ratios)) if self._ratios else 1.0
        return min(self._account.task.budget_ms / ratio, 0.99 * self._refused_ms)

    @property
    def spread(self) -> float:
        """Relative standard deviation of a measurement, as far as networks were measured again."""
        return self._repeated.spread

    def run(
        self,
        ranked: Sequence[Proposed],
        always: Sequence[Proposed],
        rank: Callable[[Proposed], float],
        say: Callable[[str], None],
    ) -> None:
        """Measures and races.

        Args:
            ranked: best first.
            always: of these, what is measured whatever is predicted by then.
            rank: worth with inherited weights.
        """
        safe, edge = self._measured(ranked, always, say)
        self._race(safe, rank, say)
        if not self.usable:
            # Those that may be over the budget next time, the fastest first.
            self._race(sorted(edge, key=self._upper), rank, say)

    def _measured(
        self, ranked: Sequence[Proposed], always: Sequence[Proposed], say: Callable[[str], None]
    ) -> tuple[list[Proposed], list[Proposed]]:
        """Networks that stay within the budget with the confidence asked for, and those that were within it once."""
        within: list[Proposed] = []
        left = list(ranked)
        while left and len(self._safe(within)) < self._config.racers:
            one = left.pop(0)
            if one not in always and one.predicted_ms > self.limit_ms:
                self.passed_over["predicted over the budget, corrected by what was measured"] += 1
                continue
            say(f"measuring racer {len(self._safe(within)) + 1} of {self._config.racers}")
            if self._measure(one):
                within.append(one)
        for one in always:
            if one in left and self._measure(one):
                within.append(one)
        safe = self._safe(within)
        if len(safe) < len(within):
            self.passed_over["within the budget, and too close to it to be so again"] += len(within) - len(safe)
        return safe, [one for one in within if one not in safe]

    def _safe(self, within: Sequence[Proposed]) -> list[Proposed]:
        # Asked anew: every network measured says more of how far measurements move.
        return [one for one in within if self._upper(one) <= self._account.task.budget_ms]

    def _upper(self, one: Proposed) -> float:
        return self._repeated.upper_ms(one.genotype.id)

    def _measure(self, one: Proposed) -> bool:
        """Measures a network, several times if it is within the budget the first time; whether it was each time."""
        verdict, name = self._account.check(one.genotype), one.genotype.id
        if verdict.latency_ms is None:
            self._refused_ms = min(self._refused_ms, one.predicted_ms)
        else:
            self._ratios.append(verdict.latency_ms / max(one.predicted_ms, 1e-9))
        if not verdict.feasible or verdict.latency_ms is None:
            self._account.record(Proposal(genotype=one.genotype), verdict, None)
            self.passed_over["measured over the budget, or not measured"] += 1
            return False
        self._repeated.add(name, verdict.latency_ms)
        for _ in range(self._config.repeats - 1):
            again = self._account.again(one.genotype)
            if again is None or again.latency_ms is None:
                break
            self._repeated.add(name, again.latency_ms)
            if not again.feasible:
                self.passed_over["over the budget when measured again"] += 1
                return False
        return True

    def _race(self, racers: Sequence[Proposed], rank: Callable[[Proposed], float], say: Callable[[str], None]) -> None:
        """Both kinds of evidence count alike for who goes on: the first steps from scratch say little of networks that
        learn late, inherited weights little of those the supernet neglected."""
        account, config = self._account, self._config
        if self._heats and len(racers) > config.finalists and config.keep > 1:
            heats = {}
            for number, one in enumerate(racers):
                say(f"racing network {number + 1} of {len(racers)}")
                heats[one.genotype.id] = account.consider(Proposal(genotype=one.genotype, part=1 / config.keep))
            racers = sorted(racers, key=lambda one: -heats[one.genotype.id].fitness - rank(one))
        for one in racers:
            say(f"finalist {len(self.finished) + 1} of {config.finalists}")
            candidate = account.consider(one.genotype, twice=True)
            if candidate.usable:
                self.finished.append(candidate)
            if len(self.finished) >= config.finalists:
                return
