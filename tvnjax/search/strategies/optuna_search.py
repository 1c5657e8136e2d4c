"""Optuna's samplers as strategies, so that nobody has to believe this package's own (``pip install ".[optuna]"``).

A space tells its choices by name (``Space.assembled``), which is all a sampler knows of it. What is over a budget is
told as a constraint that is broken, by how much its latency is over, as Optuna's samplers take it.
"""

import dataclasses
from collections.abc import Sequence
from typing import Any, Literal

from tvnjax.core.errors import InvalidInputError
from tvnjax.search.base import Candidate
from tvnjax.spaces.base import Genotype, Space

Sampler = Literal["tpe", "nsga2"]

_TRIES = 200
"""Proposals without a new network before the space counts as exhausted."""
_OVER = "over a budget"


@dataclasses.dataclass(frozen=True, kw_only=True)
class OptunaConfig:
    """How Optuna's samplers are set."""

    startup: int = 10
    """Networks that TPE draws at random before it models anything (Optuna's default)."""
    population: int = 16
    """Networks of a generation of NSGA-II. (Optuna's default is 50, more than most searches train.)"""

    def __post_init__(self) -> None:
        if self.startup < 1 or self.population < 2:
            raise InvalidInputError(
                f"optuna.startup is at least 1 and optuna.population at least 2; got {self.startup} and "
                f"{self.population}"
            )


class OptunaSearch:
    """TPE on the fitness, or NSGA-II on the fitness and the latency, both under the budget.

    Raises:
        InvalidInputError: Optuna is not installed.
    """

    def __init__(self, space: Space, sampler: Sampler, config: OptunaConfig, seed: int):
        self.name = f"optuna_{sampler}"
        self._space, self._both = space, sampler == "nsga2"
        optuna = _optuna()
        if self._both:
            made = optuna.samplers.NSGAIISampler(population_size=config.population, seed=seed)
        else:
            # Choices one by one, as Optuna's default: of several at once it knows nothing until all were met.
            made = optuna.samplers.TPESampler(n_startup_trials=config.startup, seed=seed)
        directions = ["maximize", "minimize"] if self._both else ["maximize"]
        self._study = optuna.create_study(directions=directions, sampler=made)
        self._waiting: dict[str, list[Any]] = {}
        self._known: dict[str, Candidate] = {}

    def ask(self) -> Genotype | None:
        for _ in range(_TRIES):
            trial = self._study.ask()
            genotype = self._space.assembled(lambda name, values, trial=trial: _chosen(trial, name, values))
            if genotype.id in self._known:
                # What came of it is known: the sampler hears it again, and nothing is charged.
                self._tell(trial, self._known[genotype.id])
                continue
            self._waiting.setdefault(genotype.id, []).append(trial)
            return genotype
        return None

    def tell(self, candidate: Candidate) -> None:
        self._known[candidate.id] = candidate
        for trial in self._waiting.pop(candidate.id, []):
            self._tell(trial, candidate)

    def _tell(self, trial: Any, candidate: Candidate) -> None:
        verdict, evaluation = candidate.verdict, candidate.evaluation
        latency_ms = verdict.predicted_ms if verdict.latency_ms is None else verdict.latency_ms
        failed = evaluation is not None and evaluation.failed is not None
        # By the latency itself, whichever budget refused it: of two that are over, the slower is the worse.
        trial.set_constraint(_OVER, 0.0 if candidate.fitness > float("-inf") else max(latency_ms, 1e-9))
        if failed:
            self._study.tell(trial, state=_optuna().trial.TrialState.FAIL)
            return
        fitness = 0.0 if evaluation is None else evaluation.fitness
        self._study.tell(trial, [fitness, latency_ms] if self._both else fitness)


def _chosen(trial: Any, name: str, values: Sequence[Any]) -> Any:
    """By the value's number: choices of Optuna are plain, and categories without an order."""
    return values[trial.suggest_categorical(name, tuple(range(len(values))))] if len(values) > 1 else values[0]


def check_installed() -> None:
    """Raises InvalidInputError where Optuna is not installed."""
    _optuna()


def _optuna() -> Any:
    try:
        import optuna
    except ModuleNotFoundError as error:
        if error.name != "optuna":
            raise
        raise InvalidInputError(
            "optuna_tpe and optuna_nsga2 are samplers of Optuna, which is not installed: pip install 'tvnjax[optuna]', "
            "or leave these strategies out"
        ) from None
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    return optuna
