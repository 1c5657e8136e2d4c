"""What a strategy is given: its task, and how its candidates are evaluated."""

from collections.abc import Iterator, MutableMapping
from typing import Any

import jax

from tvnjax.latency.measure import ReferenceNetwork
from tvnjax.latency.profile import Profile
from tvnjax.running.problem import EVAL_BATCH, Problem, filter_timer
from tvnjax.search.base import Evaluation, SearchTask
from tvnjax.search.budget import Costs
from tvnjax.search.constraint import RuntimeFilter
from tvnjax.spaces.base import Genotype
from tvnjax.trainers.layerwise import LayerwiseTrainer, make_programs
from tvnjax.trainers.programs import DoesNotFitError
from tvnjax.trainers.trainer import Batch, ChildTrainer, Trained


class Evaluator:
    """The proxy: a short training from scratch, scored on the validation split. A candidate that breaks is an
    evaluation with its reason, not a crash.

    Nothing is compiled yet when it is made: a strategy gets one of its own, so that none profits from another.
    """

    def __init__(self, problem: Problem):
        self._problem, self._training = problem, problem.config.proxy
        self._programs = make_programs(self._training) if problem.config.evaluation == "layers" else None
        self._paused: dict[tuple[str, int], tuple[Any, Any, Iterator[Batch]]] = {}

    def evaluate(self, genotype: Genotype, seed: int, part: float = 1.0) -> Evaluation:
        """Trains up to ``part`` of the steps, from where an earlier call for this network and seed stopped; where that
        was in a process that was killed, from the beginning, to the same weights."""
        key = (genotype.id, seed)
        trainer, state, batches = self._paused.pop(key, None) or self._begin(genotype, seed)
        before = trainer.compile_seconds
        until = max(1, round(part * self._training.steps))
        try:
            if self._programs is not None:
                trainer.compile(self._training.batch_size, EVAL_BATCH, threads=2)
            trained: Any = trainer.train(batches, state=state, until=until)
            state = trained.state if isinstance(trained, Trained) else trained
            score = trainer.score(state, self._problem.eval_batches(genotype, "val"))
        except (FloatingPointError, MemoryError, DoesNotFitError, jax.errors.JaxRuntimeError) as error:
            reason = (str(error) or type(error).__name__).splitlines()[0]
            return Evaluation(top1=0.0, top5=0.0, compile_seconds=trainer.compile_seconds - before, failed=reason)
        if until < self._training.steps:
            self._paused[key] = (trainer, state, batches)
        return Evaluation(top1=score.top1, top5=score.top5, compile_seconds=trainer.compile_seconds - before)

    def _begin(self, genotype: Genotype, seed: int) -> tuple[Any, Any, Iterator[Batch]]:
        network = self._problem.lower(genotype)
        if self._programs is not None:
            trainer: Any = LayerwiseTrainer(network, self._training, seed, self._programs)
        else:
            trainer = ChildTrainer(network, self._training, seed)
        return trainer, None, self._problem.train_batches(genotype, "train", self._training.batch_size, seed)


def make_task(
    problem: Problem,
    profile: Profile,
    costs: Costs,
    reference: ReferenceNetwork | None = None,
    measured: MutableMapping[str, Any] | None = None,
) -> SearchTask:
    """One space, one filter, one way to evaluate.

    Args:
        measured: what was measured of networks before; more is added.
    """
    frozen = None
    if problem.config.reproducible:
        networks = (point for point in profile.points if point["kind"] == "network")
        ending = profile.key_of("")
        frozen = {p["key"].removesuffix(ending): p["measured_ms"] for p in networks if p["key"].endswith(ending)}
    error = max(profile.margin, 0.05)
    runtime = RuntimeFilter(
        budget=costs.budget,
        model=profile.model,
        margin=error,
        lower=problem.lower,
        runtime=problem.runtime,
        timer=filter_timer(problem, costs),
        reference=reference,
        frozen=frozen,
        measured={} if measured is None else measured,
    )
    assert costs.budget.ms is not None
    return SearchTask(
        space=problem.space,
        budget_ms=costs.budget.ms,
        check=runtime.check,
        evaluate=Evaluator(problem).evaluate,
        screen=runtime.screen,
        confirm=None if problem.config.reproducible else runtime.confirm,
        prediction_error=error,
    )
