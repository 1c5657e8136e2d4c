"""What every strategy is given and gives back, so that none knows of training, of timing or of another strategy."""

import dataclasses
import time
from collections.abc import Callable
from typing import Any, Protocol

from tvnjax.core.monitor import Monitor
from tvnjax.space.canonical import genotype_id
from tvnjax.space.genotype import Genotype
from tvnjax.space.search_space import SearchSpace


@dataclasses.dataclass(frozen=True, kw_only=True)
class Verdict:
    """What the runtime filter says of a network."""

    predicted_ms: float
    latency_ms: float | None
    """Measured; ``None`` where the prediction alone was far over the budget, or measuring failed."""
    feasible: bool
    reason: str | None = None


@dataclasses.dataclass(frozen=True, kw_only=True)
class Evaluation:
    """What a short training from scratch says of a network, on the validation split; parts of 1."""

    top1: float
    top5: float
    compile_seconds: float
    failed: str | None = None
    """Why there is no accuracy, e.g. a loss that is not finite."""

    @property
    def fitness(self) -> float:
        """Top-1 plus top-5 (the paper, section 3.3)."""
        return self.top1 + self.top5


@dataclasses.dataclass(frozen=True, kw_only=True)
class Candidate:
    """A network a strategy proposed, with what was found of it. An infeasible one is never trained."""

    genotype: Genotype
    verdict: Verdict
    evaluation: Evaluation | None
    charged_s: float
    """Seconds its strategy had been charged when it was done."""

    @property
    def id(self) -> str:
        return genotype_id(self.genotype)

    @property
    def fitness(self) -> float:
        """Minus infinity for what is infeasible or failed."""
        if self.evaluation is None or self.evaluation.failed:
            return float("-inf")
        return self.evaluation.fitness


@dataclasses.dataclass(frozen=True, kw_only=True)
class SearchTask:
    """The problem all strategies solve: one space, one filter, one way to evaluate."""

    space: SearchSpace
    budget_ms: float
    check: Callable[[Genotype], tuple[Verdict, float]]
    """The runtime filter; also returns the compile seconds it took."""
    evaluate: Callable[[Genotype, int], Evaluation]
    """Short training from scratch with a seed, scored on the validation split."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class SearchResult:
    """What a strategy found and what it was charged."""

    name: str
    seed: int
    candidates: tuple[Candidate, ...]
    seconds: float
    """Everything, compilation included."""
    compile_seconds: float
    evaluations: int
    """Networks trained."""
    infeasible: int
    """Proposals the filter refused."""
    best: Candidate | None
    """Fittest feasible candidate; ``None`` where there is none."""


class Strategy(Protocol):
    """Proposes genotypes and learns what became of them."""

    name: str

    def ask(self) -> Genotype | None:
        """The next proposal; ``None`` when the strategy has no more."""

    def tell(self, candidate: Candidate) -> None:
        """What became of a proposal."""


class Charge:
    """Counts what one strategy costs, and checks its proposals, until its seconds are spent.

    Args:
        limit_s: seconds the strategy may use; ``None`` for no limit.
        before_s: seconds charged already, to what the strategy builds on.
    """

    def __init__(
        self,
        name: str,
        seed: int,
        task: SearchTask,
        monitor: Monitor,
        limit_s: float | None = None,
        before_s: float = 0.0,
    ):
        self.name, self.seed, self.task, self.monitor, self.limit_s = name, seed, task, monitor, limit_s
        self._before_s = before_s
        self.compile_seconds = 0.0
        self.candidates: list[Candidate] = []
        self._start = time.monotonic()

    @property
    def seconds(self) -> float:
        return self._before_s + time.monotonic() - self._start

    @property
    def spent(self) -> bool:
        return self.limit_s is not None and self.seconds >= self.limit_s

    def consider(self, genotype: Genotype) -> Candidate:
        """Filters a proposal, trains it shortly if it is feasible, and records what came of it."""
        verdict, compiling = self.task.check(genotype)
        self.compile_seconds += compiling
        evaluation = None
        if verdict.feasible:
            evaluation = self.task.evaluate(genotype, self.seed)
            self.compile_seconds += evaluation.compile_seconds
        candidate = Candidate(genotype=genotype, verdict=verdict, evaluation=evaluation, charged_s=self.seconds)
        self.candidates.append(candidate)
        self._record(candidate)
        return candidate

    def result(self) -> SearchResult:
        trained = [candidate for candidate in self.candidates if candidate.evaluation is not None]
        usable = [candidate for candidate in trained if candidate.fitness > float("-inf")]
        return SearchResult(
            name=self.name,
            seed=self.seed,
            candidates=tuple(self.candidates),
            seconds=self.seconds,
            compile_seconds=self.compile_seconds,
            evaluations=len(trained),
            infeasible=sum(not candidate.verdict.feasible for candidate in self.candidates),
            best=max(usable, key=lambda candidate: candidate.fitness, default=None),
        )

    def _record(self, candidate: Candidate) -> None:
        evaluation = candidate.evaluation
        measured: dict[str, Any] = {"top1": None, "top5": None, "fitness": None}
        reason = candidate.verdict.reason
        if evaluation is not None and evaluation.failed is None:
            measured = {"top1": evaluation.top1, "top5": evaluation.top5, "fitness": evaluation.fitness}
        elif evaluation is not None:
            reason = evaluation.failed
        self.monitor.event(
            "candidate",
            strategy=self.name,
            seed=self.seed,
            charged_s=candidate.charged_s,
            id=candidate.id,
            genotype=candidate.genotype.to_json(),
            predicted_ms=candidate.verdict.predicted_ms,
            latency_ms=candidate.verdict.latency_ms,
            feasible=candidate.verdict.feasible,
            reason=reason,
            **measured,
        )


def run_strategy(
    strategy: Strategy, task: SearchTask, *, seed: int, limit_s: float, monitor: Monitor, before_s: float = 0.0
) -> SearchResult:
    """Asks, filters, trains and tells until the seconds are spent; what is under way then is finished and counted.

    An infeasible proposal is told untrained, and its seconds are charged like any other's.
    """
    charge = Charge(strategy.name, seed, task, monitor, limit_s, before_s)
    while not charge.spent:
        genotype = strategy.ask()
        if genotype is None:
            break
        strategy.tell(charge.consider(genotype))
        best = max((candidate.fitness for candidate in charge.candidates), default=float("-inf"))
        found = f"best top-1 + top-5 {best:.3f}" if best > float("-inf") else "nothing feasible yet"
        monitor.progress(
            strategy.name, min(charge.seconds, limit_s), limit_s, f"{len(charge.candidates)} proposed, {found}"
        )
    return charge.result()
