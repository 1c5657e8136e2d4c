"""From the relaxed network to one network: proposals, ranking with inherited weights, measurement, a race.

The relaxed space proposes: its likeliest networks, draws from it, mutations of those that rank high. Evidence decides
between them: all are ranked with the weights they inherit, behind a few steps of their own; the best of those are
measured, and raced by training them from scratch, the better ones further (successive halving). What is charged to the
search holds all of it.
"""

from typing import Any

import jax
import numpy as np

from tvnjax.graph import Network
from tvnjax.graph.outline import parametric_layers
from tvnjax.search.budget import Costs
from tvnjax.search.cost_account import CostAccount
from tvnjax.search.gradient.data import Data
from tvnjax.search.gradient.inherited import Inherited
from tvnjax.search.gradient.projection_config import ProjectionConfig
from tvnjax.search.gradient.proposals import Proposals, Proposed
from tvnjax.search.gradient.race import Race
from tvnjax.spaces.base import Genotype
from tvnjax.spaces.relaxing import Plan, WorkingSet
from tvnjax.trainers.gene_weights import one_hot
from tvnjax.trainers.supernet_trainer import SupernetState, SupernetTrainer
from tvnjax.trainers.trainer import Score

_PARENTS = 4
"""Networks that rank best so far, which mutations are made of."""


class Projection:
    """Takes networks out of a trained supernet; every proposal is charged to the search."""

    def __init__(
        self,
        config: ProjectionConfig,
        trainer: SupernetTrainer,
        costs: Costs,
        account: CostAccount,
        data: Data,
        latency_weight: float = 0.0,
    ):
        self._latency_weight = latency_weight
        self._config, self._trainer, self._costs, self._account, self._data = config, trainer, costs, account, data
        self._range: dict[Plan, tuple[float, float]] = {}

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
        """Proposes, ranks, measures and races networks."""
        config, account, trainer = self._config, self._account, self._trainer
        rng = np.random.default_rng([account.seed, 8])
        genes, shapes = jax.device_get(trainer.probabilities(state, temperature))
        ordered = trainer.relaxation.likeliest(shapes, plans.plans)
        ordered = [plan for plan in ordered if self.fits(plan)] or ordered
        first, taken = ordered[0], ordered[: config.plans]
        inherited = Inherited(config, trainer, self._data, state, self._latency_weight)
        proposals = Proposals(trainer.relaxation, self._costs, rng)
        # What a millisecond is worth is known to the rank alone: without a race the best of that is taken.
        race = Race(config, account, heats=self._latency_weight == 0)
        relaxed = trainer.weights(trainer.relaxed(first), state, temperature)
        ledger, relaxed_stats = self._soft(first, relaxed, inherited, state, temperature)
        likeliest = self._argmax(genes, first)
        # Whatever prediction says of it within its error, the likeliest network is measured.
        always = proposals.likeliest(genes, first, (1 + account.task.prediction_error) * self.budget_ms, 1)
        for attempt in range(config.attempts):
            limit_ms = race.limit_ms
            pool = always[:] if attempt == 0 else []
            pool += [one for plan in taken for one in proposals.likeliest(genes, plan, limit_ms, config.top_k)]
            if attempt == 0:
                p = dict(zip(plans.plans, plans.probabilities(shapes)))
                chances = np.array([p[plan] for plan in taken])
                pool += self._drawn(proposals, genes, taken, chances / chances.sum(), limit_ms)
            for number, one in enumerate(pool):
                self._say(f"ranking with inherited weights, {number + 1} of {len(pool)} networks")
                inherited.score(one)
                if attempt == number == 0:
                    ledger += self._single(one, inherited, relaxed_stats)
            if attempt == 0:
                pool += self._near(proposals, pool, inherited, taken, limit_ms)
            self._tell(pool, inherited)
            ranked = sorted(pool, key=inherited.order)
            race.run(ranked, always if attempt == 0 else [], inherited.worth, self._say)
            if race.usable or not pool:
                break
        where = {"strategy": account.name, "seed": account.seed}
        account.monitor.event("passed_over", **where, networks=dict(race.passed_over), spread=race.spread)
        for candidate in race.finished:
            told = {"id": candidate.id, "parametric": parametric_layers(self._lower(candidate.genotype))}
            account.monitor.event("derived", strategy=account.name, seed=account.seed, **told)
        best = account.result().best
        if best is not None and best.evaluation is not None:
            row = {"stage": "short training from scratch", "top1": best.evaluation.top1}
            ledger.append(row | {"latency_ms": best.verdict.latency_ms, "note": "measured ms; the finalist chosen"})
            self._tell_changes(likeliest, best.genotype, inherited)
        account.monitor.event("ledger", strategy=account.name, seed=account.seed, rows=ledger)

    def _soft(
        self, plan: Plan, relaxed: Any, inherited: Inherited, state: SupernetState, temperature: float
    ) -> tuple[list[dict[str, Any]], Any]:
        """The relaxed network's row of the ledger, and its statistics."""
        stats = inherited.statistics(plan, relaxed)
        part = float(self._trainer.parts(state, temperature)[0])
        note = f"expected ms, over all plans; scored at {plan}"
        return [_row("soft", inherited.scored(plan, relaxed, stats), part * self.budget_ms, note)], stats

    def _single(self, one: Proposed, inherited: Inherited, relaxed_stats: Any) -> list[dict[str, Any]]:
        """Rows of the likeliest network within the budget: as it is, with its statistics, after steps of its own."""
        plan, weights = one.plan, one_hot(self._trainer.relaxed(one.plan), one.genotype)
        scores = {"one-hot": inherited.scored(plan, weights, relaxed_stats)}
        scores["recalibrated"] = inherited.scored(plan, weights, inherited.statistics(plan, weights))
        if self._config.fine_tune_steps:
            self._say(f"fine-tuning the likeliest network, {self._config.fine_tune_steps} steps")
            scores["fine-tuned"] = inherited.tuned(one, self._config.fine_tune_steps)
        return [_row(stage, score, one.predicted_ms, "predicted ms") for stage, score in scores.items()]

    def _drawn(
        self, proposals: Proposals, genes: Any, taken: list[Plan], p: np.ndarray, limit_ms: float
    ) -> list[Proposed]:
        """Draws that follow the relaxed space at first, and half the uniform one in the end."""
        found: list[Proposed] = []
        for number in range(count := self._config.draws):
            drawn = proposals.drawn(genes, taken, p, 0.5 * (number + 1) / count, limit_ms)
            found += [drawn] if drawn is not None else []
        return found

    def _near(
        self, proposals: Proposals, pool: list[Proposed], inherited: Inherited, taken: list[Plan], limit_ms: float
    ) -> list[Proposed]:
        """Mutations of the networks that rank best, each scored before the next is made."""
        found: list[Proposed] = []
        for number in range(self._config.neighbours):
            best = sorted(pool + found, key=inherited.order)[:_PARENTS]
            if not best or (one := proposals.near(best, self._account.task.space, taken, limit_ms)) is None:
                break
            self._say(f"ranking neighbours of the best, {number + 1} of {self._config.neighbours}")
            inherited.score(one)
            found.append(one)
        return found

    def _argmax(self, genes: Any, plan: Plan) -> Genotype | None:
        """The likeliest network of a plan, whatever it costs."""
        above_all = 1.01 * self.predicted_range(plan)[1]
        choices = self._trainer.relaxation.discretize(genes, self._costs.ms, plan, above_all, count=1)
        return choices[0].genotype if choices else None

    def _tell(self, pool: list[Proposed], inherited: Inherited) -> None:
        rows = [
            {"id": one.genotype.id, "plan": str(one.plan), "origin": one.origin, "predicted_ms": one.predicted_ms}
            | {"top1": inherited.score(one).top1, "loss": inherited.score(one).loss}
            for one in sorted(pool, key=inherited.order)
        ]
        self._account.monitor.event("ranked", strategy=self._account.name, seed=self._account.seed, networks=rows)

    def _tell_changes(self, likeliest: Genotype | None, found: Genotype, inherited: Inherited) -> None:
        """Which genes of the likeliest network the one that was found does not have."""
        if likeliest is None:
            return
        before, after = likeliest.genes(), found.genes()
        changed = {
            str(gene): [str(before.get(gene)), str(after.get(gene))]
            for gene in dict.fromkeys([*before, *after])
            if before.get(gene) != after.get(gene)
        }
        self._account.monitor.event(
            "changed_genes",
            strategy=self._account.name,
            seed=self._account.seed,
            likeliest=likeliest.id,
            predicted_ms=self._predict(likeliest),
            found=found.id,
            genes=changed,
        )

    def _predict(self, genotype: Genotype) -> float:
        return self._costs.predict(self._lower(genotype))

    def _lower(self, genotype: Genotype) -> Network:
        return genotype.lower(self._costs.ms.num_classes, head=self._costs.ms.head_kind)

    def _say(self, text: str) -> None:
        self._account.monitor.progress(self._account.name, 1, 1, text)


def _row(stage: str, score: Score, latency_ms: float, note: str) -> dict[str, Any]:
    return {"stage": stage, "top1": score.top1, "latency_ms": latency_ms, "note": note}
