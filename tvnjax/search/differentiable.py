"""Differentiable search: weights and architecture logits by gradient, then projection under the budget.

First-order bilevel, as in DARTS: a weight step on training clips, a logit step on validation clips. The logits' loss is
the validation cross-entropy plus an augmented Lagrangian of ``log(expected latency / budget) <= 0``, whose
multiplier is learned, so that one run lands on one budget.
"""

import dataclasses
from collections.abc import Callable, Iterable, Iterator
from typing import Any

import jax
import numpy as np

from tvnjax.core.errors import InvalidInputError
from tvnjax.core.monitor import Monitor
from tvnjax.latency.expected import ExpectedCost
from tvnjax.nn.supernet import GeneWeights, one_hot
from tvnjax.search.base import Charge, SearchResult, SearchTask
from tvnjax.search.discretize import Probabilities, discretize
from tvnjax.space.genotype import Genotype
from tvnjax.space.relaxed import IDENTITY, Operator, RelaxedPlan
from tvnjax.train.supernet_trainer import SupernetState, SupernetTrainer
from tvnjax.train.trainer import Batch, Score


@dataclasses.dataclass(frozen=True, kw_only=True)
class DifferentiableConfig:
    """How the relaxed network is searched."""

    steps: int = 400
    """Weight steps."""
    batch_size: int = 32
    arch_warmup: float = 0.4
    """Part of the steps that train weights alone: logits that move while weights are raw favour what learns fastest."""
    learning_rate: float = 3e-3
    arch_learning_rate: float = 0.05
    temperature: float = 0.1
    """Softmax temperature at the end; it is 1 during the warm-up and falls by a constant factor a step from then on.
    Low enough that the relaxed network ends close to a single one: what is left over is lost in the projection."""
    multiplier_rate: float = 0.5
    """Step of the latency multiplier, in units of ``log(expected / budget)``."""
    penalty: float = 4.0
    """Weight of the quadratic term of the augmented Lagrangian."""
    top_k: int = 8
    """Likeliest networks within the budget that are ranked with inherited weights."""
    finalists: int = 3
    """Of these, how many are trained shortly from scratch."""
    recalibration_batches: int = 8
    """Batches the running statistics are recomputed on before a network is scored with inherited weights."""

    def __post_init__(self) -> None:
        if self.steps < 1 or not 0 <= self.arch_warmup < 1 or not 0 < self.temperature <= 1:
            raise InvalidInputError(
                "a search has steps of at least 1, arch_warmup in [0, 1) and temperature in (0, 1]; got "
                f"{self.steps}, {self.arch_warmup} and {self.temperature}"
            )
        if not 1 <= self.finalists <= self.top_k:
            raise InvalidInputError(
                f"finalists are 1 to top_k of the top_k networks; got finalists {self.finalists} and top_k {self.top_k}"
            )


class Data:
    """What a differentiable search reads.

    Args:
        train: endless batches of training clips.
        val: endless batches of validation clips.
        val_once: makes one pass over the validation split.
    """

    def __init__(self, train: Iterator[Batch], val: Iterator[Batch], val_once: Callable[[], Iterable[Batch]]):
        self.train, self.val, self.val_once = train, val, val_once


class DifferentiableSearch:
    """Trains the supernet, projects it onto the budget, ranks, filters by measured runtime, trains the finalists."""

    name = "differentiable"

    def __init__(
        self, config: DifferentiableConfig, plan: RelaxedPlan, expected: ExpectedCost, num_classes: int, seed: int
    ):
        self.config, self.plan, self.expected = config, plan, expected
        self.num_classes, self.seed = num_classes, seed

    def run(self, task: SearchTask, data: Data, monitor: Monitor) -> tuple[SearchResult, SupernetState]:
        """Returns the result and the trained supernet's state."""
        config = self.config
        charge = Charge(self.name, self.seed, task, monitor)
        trainer = SupernetTrainer(
            self.plan,
            self.num_classes,
            self.expected,
            steps=config.steps,
            learning_rate=config.learning_rate,
            arch_learning_rate=config.arch_learning_rate,
            budget_ms=task.budget_ms,
            penalty=config.penalty,
            multiplier_rate=config.multiplier_rate,
            seed=self.seed,
        )
        state = trainer.init()
        warmup = int(config.arch_warmup * config.steps)
        for step in range(1, config.steps + 1):
            progress = max(step - warmup, 0) / max(config.steps - warmup, 1)
            temperature = config.temperature**progress
            state, loss = trainer.weight_step(state, next(data.train), temperature)
            val_loss, expected_ms = None, None
            if step > warmup:
                state, val_loss, expected_ms = trainer.arch_step(state, next(data.val), temperature)
            if step % max(config.steps // 50, 1) == 0 or step == config.steps:
                self._report(charge, trainer, state, step, warmup, temperature, loss, val_loss, expected_ms)
        charge.compile_seconds += trainer.compile_seconds
        probabilities = jax.device_get(trainer.probabilities(state, config.temperature))
        self._choose(charge, trainer, state, probabilities, data)
        return charge.result(), state

    def _choose(
        self,
        charge: Charge,
        trainer: SupernetTrainer,
        state: SupernetState,
        probabilities: Probabilities,
        data: Data,
    ) -> None:
        """Projection, ranking with inherited weights, runtime filter, short training of the finalists."""
        config, budget = self.config, charge.task.budget_ms
        relaxed = trainer.probabilities(state, config.temperature)
        batches = [next(data.train) for _ in range(config.recalibration_batches)]
        # The running statistics lag behind logits that still moved; what is lost later should not be blamed on them.
        soft = trainer.score(trainer.recalibrate(state, relaxed, batches), relaxed, data.val_once())
        ledger = [_row("soft", soft, float(self.expected(relaxed)), "expected ms")]
        choices = discretize(probabilities, self.expected, budget, count=config.top_k)
        ranked: list[tuple[float, Genotype]] = []
        for number, choice in enumerate(choices, 1):
            weights = one_hot(self.plan, choice.genotype)
            raw = trainer.score(state, weights, data.val_once()) if number == 1 else None
            calibrated = trainer.recalibrate(state, weights, batches)
            score = trainer.score(calibrated, weights, data.val_once())
            ranked.append((score.fitness, choice.genotype))
            if raw is not None:
                ledger.append(_row("one-hot", raw, choice.predicted_ms, "predicted ms"))
                ledger.append(_row("recalibrated", score, choice.predicted_ms, "predicted ms"))
            text = f"ranking with inherited weights, {number} of {len(choices)}"
            charge.monitor.progress(self.name, config.steps, config.steps, text)
        ranked.sort(key=lambda pair: -pair[0])
        trained = 0
        for fitness, genotype in ranked:
            candidate = charge.consider(genotype)
            trained += candidate.evaluation is not None
            text = f"finalist {trained} of {config.finalists}, inherited top-1 + top-5 {fitness:.3f}"
            charge.monitor.progress(self.name, config.steps, config.steps, text)
            if trained == config.finalists:
                break
        if trained == 0:
            self._repair(charge, probabilities)
        best = charge.result().best
        if best is not None and best.evaluation is not None:
            ledger.append(
                {
                    "stage": "short training from scratch",
                    "top1": best.evaluation.top1,
                    "latency_ms": best.verdict.latency_ms,
                    "note": "measured ms; the finalist chosen",
                }
            )
        charge.monitor.event("ledger", strategy=self.name, seed=self.seed, rows=ledger)

    def _repair(self, charge: Charge, probabilities: Probabilities) -> None:
        """No likely network was measured within the budget: asks for less and less predicted latency."""
        budget = charge.task.budget_ms
        for part in (0.95, 0.9, 0.8, 0.65, 0.5, 0.3):
            for choice in discretize(probabilities, self.expected, part * budget):
                if charge.consider(choice.genotype).evaluation is not None:
                    return

    def _report(
        self,
        charge: Charge,
        trainer: SupernetTrainer,
        state: SupernetState,
        step: int,
        warmup: int,
        temperature: float,
        loss: jax.Array,
        val_loss: jax.Array | None,
        expected_ms: jax.Array | None,
    ) -> None:
        weights = trainer.probabilities(state, temperature)
        expected = float(self.expected(weights) if expected_ms is None else expected_ms)
        if not np.isfinite(float(loss)):
            raise FloatingPointError(f"the search's loss is finite; at step {step} it is {float(loss)}")
        charge.monitor.event(
            "search_step",
            strategy=self.name,
            seed=self.seed,
            step=step,
            steps=self.config.steps,
            phase="warmup" if step <= warmup else "search",
            loss=float(loss),
            val_loss=None if val_loss is None else float(val_loss),
            expected_ms=expected,
            budget_ms=charge.task.budget_ms,
            multiplier=float(state.multiplier),
            temperature=temperature,
            charged_s=charge.seconds,
        )
        charge.monitor.event("marginals", strategy=self.name, seed=self.seed, step=step, blocks=self.marginals(weights))
        charge.monitor.progress(
            self.name,
            step,
            self.config.steps,
            f"loss {float(loss):.3f}, expected {expected:.3g} of {charge.task.budget_ms:.3g} ms",
        )

    def marginals(self, weights: GeneWeights) -> list[dict[str, dict[str, float]]]:
        """Probability of every candidate of every active choice, by name."""
        return [
            {
                gene: {
                    _name(value): float(part) for value, part in zip(block.candidates(gene), jax.device_get(p[gene]))
                }
                for gene in block.active
            }
            for block, p in zip(self.plan.blocks, weights)
        ]


def _name(value: Operator | float | bool) -> str:
    if isinstance(value, tuple):
        return "identity" if value == IDENTITY else f"{value[0]} {value[1]}"
    if isinstance(value, bool):
        return "on" if value else "off"
    return "off" if isinstance(value, float) and value == 0 else str(value)


def _row(stage: str, score: Score, latency_ms: float, note: str) -> dict[str, Any]:
    return {"stage": stage, "top1": score.top1, "latency_ms": latency_ms, "note": note}
