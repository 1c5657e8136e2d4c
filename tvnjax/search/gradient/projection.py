"""From the relaxed network to one network: likeliest plans, knapsack, ranking, measurement, landing in the budget."""

import dataclasses
from functools import partial
from typing import Any

import jax
import numpy as np

from tvnjax.core.errors import InvalidInputError
from tvnjax.graph import Network
from tvnjax.graph.outline import parametric_layers
from tvnjax.search.base import Candidate
from tvnjax.search.budget import Costs
from tvnjax.search.cost_account import CostAccount
from tvnjax.search.gradient.data import Data
from tvnjax.spaces.base import Genotype
from tvnjax.spaces.relaxing import Choice, Plan, WorkingSet
from tvnjax.trainers.gene_weights import one_hot
from tvnjax.trainers.supernet_trainer import SupernetState, SupernetTrainer
from tvnjax.trainers.trainer import Score


@dataclasses.dataclass(frozen=True, kw_only=True)
class ProjectionConfig:
    """How one network is chosen in the end."""

    plans: int = 1
    """Likeliest plans that networks are taken from."""
    top_k: int = 8
    """Likeliest networks of a plan within the budget that are ranked with inherited weights."""
    finalists: int = 3
    """Of these, how many are measured and trained shortly from scratch."""
    fill: float = 0.85
    """Least part of the budget a network should take, measured: of two networks within the budget the larger one is
    usually the better. 0 takes the likeliest, however small; so does a search with a latency weight, which says what
    a millisecond is worth."""
    margin: float = 0.04
    """Part of the budget a network must leave free, measured, to be taken before those that do not: the measurement
    before the last training must be within the budget as well. It came out 1 to 6 % above the first in ten searches,
    1 % below to 12 % above in six on a busier machine (experiments/grid_comparison). A finalist that is over when it
    has been trained gives way to the next."""
    predicted_margin: float = 0.04
    """Part of the budget that predictions must leave free, corrected by what was measured so far. With 0 networks are
    proposed up to the budget's edge: where few within it can learn anything, the likeliest one is not lost to a
    prediction that is too high (experiments/tabular/compare_quartile_edge.md); but more of what is measured then lies
    just below ``margin``, and is over when it is measured again."""
    recalibration_batches: int = 8
    """Batches the running statistics are computed on before a network is scored with inherited weights."""
    rank_steps: int = 0
    """Steps that every ranked network's inherited weights are trained for it alone before it is scored, as for weight
    sharing (``sharing.fine_tune_steps``)."""
    fine_tune_steps: int = 30
    """Steps that the likeliest network's inherited weights are trained further, for the ledger: what is lost between
    the relaxed network and it, and comes back, was a matter of weights. 0 leaves that row out."""
    attempts: int = 6
    """Most times that the knapsack's limit is corrected by what its networks took when measured."""

    def __post_init__(self) -> None:
        if not 1 <= self.finalists <= self.top_k:
            raise InvalidInputError(
                f"finalists are 1 to top_k of the top_k networks; got finalists {self.finalists} and top_k {self.top_k}"
            )
        if not 0 <= self.fill < 1:
            raise InvalidInputError(f"fill is a part of the budget in [0, 1); got {self.fill}")
        if not self.margin >= 0 or not self.margin + self.fill < 1:
            raise InvalidInputError(
                f"search.projection.margin is a part of the budget, at least 0 and with fill below 1; got margin "
                f"{self.margin} and fill {self.fill}: lower one of them"
            )
        if not self.predicted_margin >= 0 or not self.predicted_margin + self.fill < 1:
            raise InvalidInputError(
                "search.projection.predicted_margin is a part of the budget, at least 0 and with fill below 1; got "
                f"{self.predicted_margin} and fill {self.fill}: lower one of them"
            )
        for name in ("rank_steps", "fine_tune_steps"):
            if getattr(self, name) < 0:
                raise InvalidInputError(f"search.projection.{name} is 0 or above; got {getattr(self, name)}")
        for name in ("plans", "recalibration_batches", "attempts"):
            if getattr(self, name) < 1:
                raise InvalidInputError(f"search.projection.{name} is at least 1; got {getattr(self, name)}")


class Projection:
    """Takes networks out of a trained supernet; every proposal is charged to the search."""

    def __init__(
        self,
        config: ProjectionConfig,
        trainer: SupernetTrainer,
        costs: Costs,
        account: CostAccount,
        data: Data,
        latency_weight: float,
    ):
        self._config, self._trainer, self._costs, self._account, self._data = config, trainer, costs, account, data
        self._fill = config.fill if latency_weight == 0 else 0.0
        self._range: dict[Plan, tuple[float, float]] = {}
        # How much longer measured networks took than predicted: the median is what the knapsack's limit is divided by.
        self._ratios: list[float] = []
        # The least prediction the filter refused without measuring.
        self._refused_ms = float("inf")

    @property
    def budget_ms(self) -> float:
        return self._account.task.budget_ms

    def predicted_range(self, plan: Plan) -> tuple[float, float]:
        """Predicted milliseconds of a plan's cheapest and most expensive network."""
        if plan not in self._range:
            extreme = self._trainer.relaxation.extreme
            cheapest, most_expensive = (
                extreme(self._costs.ms, which, plan) for which in ("cheapest", "most_expensive")
            )
            self._range[plan] = (self._predict(cheapest), self._predict(most_expensive))
        return self._range[plan]

    def fits(self, plan: Plan) -> bool:
        """Whether some network of the plan is predicted within the budget."""
        return self.predicted_range(plan)[0] <= self.budget_ms

    def run(self, state: SupernetState, plans: WorkingSet, temperature: float) -> None:
        """Projects onto the likeliest plans, ranks, filters by measured cost, trains the finalists shortly."""
        config, account = self._config, self._account
        genes, shapes = jax.device_get(self._trainer.probabilities(state, temperature))
        ordered = self._trainer.relaxation.likeliest(shapes, plans.plans)
        seen = self._trainer.relaxation.likeliest(shapes, plans.seen)
        ordered += [plan for plan in seen if plan not in ordered]
        # A plan whose largest network leaves most of the budget unused is passed over while there is another.
        large = [plan for plan in ordered if self.predicted_range(plan)[1] >= self._fill * self.budget_ms]
        ordered = [plan for plan in large or ordered if self.fits(plan)] or ordered
        ledger: list[dict[str, Any]] = []
        for number, plan in enumerate(ordered):
            done = number >= config.plans and any(c.usable for c in account.candidates)
            if done:
                break
            ledger += self._finalists(plan, genes, state, temperature, with_ledger=number == 0)
        best = account.result().best
        if best is not None and best.evaluation is not None:
            row = {"stage": "short training from scratch", "top1": best.evaluation.top1}
            ledger.append(row | {"latency_ms": best.verdict.latency_ms, "note": "measured ms; the finalist chosen"})
        account.monitor.event("ledger", strategy=account.name, seed=account.seed, rows=ledger)

    def _finalists(
        self, plan: Plan, genes: Any, state: SupernetState, temperature: float, *, with_ledger: bool
    ) -> list[dict[str, Any]]:
        """Trains the best-ranked networks of a plan that are measured to fill the budget but for a margin."""
        trainer, config = self._trainer, self._config
        # The same clips for every network: scores differ by what the networks are, not by luck.
        batches, tuning = (self._train_batches(plan, n) for n in (config.recalibration_batches, config.rank_steps))
        relaxed = trainer.weights(trainer.relaxed(plan), state, temperature)
        ledger, relaxed_stats = [], None
        if with_ledger:
            relaxed_stats = trainer.recalibrate(state, plan, relaxed, batches)
            soft = self._score(state, plan, relaxed, relaxed_stats)
            part = float(trainer.parts(state, temperature)[0])
            ledger.append(_row("soft", soft, part * self.budget_ms, f"expected ms, over all plans; scored at {plan}"))
        trained, inherited, seen = 0, {}, set()
        spare: list[Candidate] = []
        for attempt in range(config.attempts):
            choices = [c for c in self._choices(plan, genes) if c.genotype.id not in seen]
            for choice in choices:
                known = choice.genotype.id
                if known not in inherited:
                    weights = one_hot(trainer.relaxed(plan), choice.genotype)
                    inherited[known] = self._tuned_score(plan, state, weights, tuning, batches)
                    if with_ledger and len(inherited) == 1:
                        scores = {"one-hot": self._score(state, plan, weights, relaxed_stats)}
                        scores["recalibrated"] = self._tuned_score(plan, state, weights, [], batches)
                        if config.fine_tune_steps:
                            self._say(f"fine-tuning the likeliest network, {config.fine_tune_steps} steps")
                            more = self._train_batches(plan, config.fine_tune_steps)
                            scores["fine-tuned"] = self._tuned_score(plan, state, weights, more, batches)
                        ledger += [_row(stage, s, choice.predicted_ms, "predicted ms") for stage, s in scores.items()]
                self._say(f"ranking with inherited weights, {len(inherited)} networks")
            choices.sort(key=lambda choice: -inherited[choice.genotype.id].fitness)
            before = trained
            for choice in choices:
                seen.add(choice.genotype.id)
                trained += self._try(choice, spare)
                self._say(f"finalist {trained} of {config.finalists}")
                if trained == config.finalists:
                    return ledger
            if not choices or (trained and trained == before and attempt):
                break
        # Too few land in the window: next best is the largest below it, and last what is at the budget's very edge.
        safe_ms = (1 - config.margin) * self.budget_ms

        def from_edge(candidate: Candidate) -> tuple[bool, float]:
            latency_ms = candidate.verdict.latency_ms or 0.0
            return latency_ms > safe_ms, abs(latency_ms - safe_ms)

        spare.sort(key=from_edge)
        for number, candidate in enumerate(spare, start=trained + 1):
            trained += self._account.consider(candidate.genotype, twice=True).usable
            if number >= config.finalists + (0 if trained else config.attempts):
                break
        return ledger

    def _tuned_score(
        self,
        plan: Plan,
        state: SupernetState,
        weights: Any,
        tuning: list[dict[str, Any]],
        batches: list[dict[str, Any]],
    ) -> Score:
        """Score of one network after a step of its own on each batch of ``tuning``, with statistics of ``batches``."""
        if tuning:
            state = self._trainer.fine_tune(state, plan, weights, tuning)
        return self._score(state, plan, weights, self._trainer.recalibrate(state, plan, weights, batches))

    def _train_batches(self, plan: Plan, count: int) -> list[dict[str, Any]]:
        return [self._data.cut(next(self._data.train), plan, None) for _ in range(count)]

    def _choices(self, plan: Plan, genes: Any) -> list[Choice]:
        """The likeliest networks predicted, by what was measured so far, to fill the budget."""
        ratio = float(np.median(self._ratios)) if self._ratios else 1.0
        # A little below the budget: of networks predicted right at it, half are measured over.
        part = 0.99 - self._config.predicted_margin
        limit = min(part * self.budget_ms / ratio, 0.99 * self._refused_ms)
        floor = min(self._fill * self.budget_ms / ratio * 1.02, 0.9 * limit) if self._fill else 0.0
        also = self._costs.counted()
        count = self._config.top_k
        discretize = partial(self._trainer.relaxation.discretize, genes, self._costs.ms, plan, limit)
        return discretize(floor=floor, count=count, also=also) or discretize(count=count, also=also)

    def _try(self, choice: Choice, spare: list[Candidate]) -> bool:
        """Measures a network; trains it if it lands in the window, else keeps it if it is within the budget. Returns
        whether it was trained, and within the budget when it was measured again."""
        verdict = self._account.check(choice.genotype)
        if verdict.latency_ms is None:
            self._refused_ms = min(self._refused_ms, choice.predicted_ms)
        else:
            self._ratios.append(verdict.latency_ms / max(choice.predicted_ms, 1e-9))
        part = (verdict.latency_ms or 0.0) / self.budget_ms
        if verdict.feasible and not self._fill <= part <= 1 - self._config.margin:
            spare.append(Candidate(genotype=choice.genotype, verdict=verdict, evaluation=None, charged_s=0.0))
            return False
        candidate = self._account.consider(choice.genotype, twice=True)
        if verdict.feasible and not candidate.verdict.feasible and candidate.verdict.latency_ms is not None:
            self._ratios.append(candidate.verdict.latency_ms / max(choice.predicted_ms, 1e-9))
        if candidate.usable:
            self._account.monitor.event(
                "derived",
                strategy=self._account.name,
                seed=self._account.seed,
                id=candidate.id,
                parametric=parametric_layers(self._lower(choice.genotype)),
            )
        return candidate.usable

    def _score(self, state: SupernetState, plan: Plan, weights: Any, stats: Any) -> Score:
        batches = (self._data.cut(batch, plan, None) for batch in self._data.val_once())
        return self._trainer.score(state, plan, stats, weights, batches)

    def _predict(self, genotype: Genotype) -> float:
        return self._costs.predict(self._lower(genotype))

    def _lower(self, genotype: Genotype) -> Network:
        return genotype.lower(self._costs.ms.num_classes, head=self._costs.ms.head_kind)

    def _say(self, text: str) -> None:
        self._account.monitor.progress(self._account.name, 1, 1, text)


def _row(stage: str, score: Score, latency_ms: float, note: str) -> dict[str, Any]:
    return {"stage": stage, "top1": score.top1, "latency_ms": latency_ms, "note": note}
