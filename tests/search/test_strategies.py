"""Strategies on tasks whose answer is known, without training anything."""

import dataclasses

import numpy as np
import pytest

from tvnjax.core.errors import InvalidInputError
from tvnjax.core.monitor import Silent
from tvnjax.search.base import Evaluation, SearchTask, Verdict
from tvnjax.search.cost_account import CostAccount, run_strategy
from tvnjax.search.strategies.evolution import Evolution, EvolutionConfig
from tvnjax.search.strategies.random_search import RandomSearch
from tvnjax.spaces.tvn.canonical import genotype_id
from tvnjax.spaces.tvn.lowering import lower
from tvnjax.spaces.tvn.relaxed import OperatorChoices
from tvnjax.spaces.tvn.search_space import space_at_plan
from tvnjax.spaces.tvn.shapes import BlockPlan, Plan

SPACE = space_at_plan(Plan(blocks=(BlockPlan(), BlockPlan(filters=64))), OperatorChoices())


def closeness(genotype):
    """1 for the planted network, less for every gene that differs."""
    target = {"spatial_type": "depth", "spatial_kernel": 5, "temporal_kernel": 3, "expand": 2, "skip": True}
    genes = [getattr(block, gene) == value for block in genotype.blocks for gene, value in target.items()]
    return sum(genes) / len(genes)


def task(limit_params=10**9, evaluated=None, fails=lambda genotype: None):
    def check(genotype):
        params = lower(genotype, 4).params
        feasible = params <= limit_params
        reason = None if feasible else f"{params} parameters"
        return Verdict(predicted_ms=params, latency_ms=params, feasible=feasible, reason=reason), 0.5

    def evaluate(genotype, seed, part=1.0):
        if evaluated is not None:
            evaluated.append(genotype)
        return Evaluation(
            top1=closeness(genotype), top5=closeness(genotype), compile_seconds=0.25, failed=fails(genotype)
        )

    return SearchTask(space=SPACE, budget_ms=limit_params, check=check, evaluate=evaluate)


class Counted:
    """Stops a strategy after a number of proposals."""

    def __init__(self, strategy, count):
        self.strategy, self.left, self.name = strategy, count, strategy.name

    def ask(self):
        self.left -= 1
        return self.strategy.ask() if self.left >= 0 else None

    def tell(self, candidate):
        self.strategy.tell(candidate)


def search(strategy, count, problem):
    return run_strategy(Counted(strategy, count), problem, seed=0, limit_s=3600, monitor=Silent())


def evolution(seed, population=20, tournament=8):
    return Evolution(SPACE, EvolutionConfig(population=population, tournament=tournament), seed)


def test_evolution_finds_the_planted_network_where_random_search_does_not():
    evolved = [search(evolution(seed), 150, task()).best.fitness for seed in range(3)]
    drawn = [search(RandomSearch(SPACE, seed), 150, task()).best.fitness for seed in range(3)]
    assert np.mean(evolved) > 1.9 and np.mean(evolved) > np.mean(drawn) + 0.2


@pytest.mark.parametrize("make", [evolution, lambda seed: RandomSearch(SPACE, seed)])
def test_a_seed_repeats_the_search_and_another_does_not(make):
    first, second, other = (
        [candidate.id for candidate in search(make(seed), 40, task()).candidates] for seed in (0, 0, 1)
    )
    assert first == second != other
    assert len(set(first)) == len(first), "no network is proposed twice"


def test_infeasible_proposals_are_dropped_untrained_and_counted():
    trained = []
    limit = int(np.median([lower(SPACE.sample(np.random.default_rng(s)), 4).params for s in range(40)]))
    result = search(evolution(0), 60, task(limit, trained))
    assert result.infeasible > 5
    assert result.evaluations == len(trained) == 60 - result.infeasible
    assert all(lower(genotype, 4).params <= limit for genotype in trained)
    assert result.best is not None and result.best.verdict.feasible
    assert result.compile_seconds == pytest.approx(60 * 0.5 + 0.25 * result.evaluations)


def differing_genes(first, second):
    return sum(
        a != b
        for ours, theirs in zip(first.blocks, second.blocks)
        for a, b in zip(dataclasses.astuple(ours), dataclasses.astuple(theirs))
    )


def test_children_differ_from_a_member_of_the_pool_in_one_gene():
    result = search(evolution(0, population=5, tournament=5), 30, task())
    pool = [candidate.genotype for candidate in result.candidates[:5]]
    for child in result.candidates[5:]:
        assert min(differing_genes(child.genotype, member) for member in pool) == 1
        pool.append(child.genotype)


def test_a_tournament_of_the_whole_pool_breeds_from_the_fittest():
    result = search(evolution(0, population=10, tournament=100), 20, task())
    fittest = max(candidate.fitness for candidate in result.candidates[:10])
    parents = [c.genotype for c in result.candidates[:10] if c.fitness == fittest]
    child = result.candidates[10].genotype
    assert min(differing_genes(child, parent) for parent in parents) == 1


def test_a_candidate_that_fails_is_recorded_with_its_reason_and_never_chosen():
    bad = lambda genotype: "the loss stays finite" if closeness(genotype) > 0.5 else None  # noqa: E731
    result = search(RandomSearch(SPACE, 0), 40, task(fails=bad))
    assert result.evaluations == 40
    assert result.best is not None and closeness(result.best.genotype) <= 0.5


def test_nothing_feasible_leaves_no_best():
    result = search(RandomSearch(SPACE, 0), 10, task(limit_params=0))
    assert result.best is None and result.infeasible == 10 and result.evaluations == 0


def test_the_seconds_end_a_search(monkeypatch):
    now = [0.0]
    monkeypatch.setattr("time.monotonic", lambda: now[0])
    slow = task()
    check = slow.check

    def counted(genotype):
        now[0] += 10
        return check(genotype)

    slow = dataclasses.replace(slow, check=counted)
    result = run_strategy(RandomSearch(SPACE, 0), slow, seed=0, limit_s=35, monitor=Silent())
    assert len(result.candidates) == 4 and result.seconds == 40


def test_a_small_space_is_searched_to_its_end():
    tiny = space_at_plan(
        Plan(),
        OperatorChoices(
            spatial_type=("std",),
            spatial_kernel=(3, 5),
            temporal_kernel=(1,),
            width=(1.0,),
            expand=(1,),
            squeeze=(0.0,),
            context_gate=(False,),
            skip=(False, True),
        ),
    )
    result = search(RandomSearch(tiny, 0), 100, dataclasses.replace(task(), space=tiny))
    assert len({candidate.id for candidate in result.candidates}) == len(result.candidates) == 4


def test_every_candidate_is_an_event():
    events = []

    class Listener(Silent):
        def event(self, kind, **fields):
            events.append((kind, fields))

    account = CostAccount("random", 3, task(limit_params=5000), Listener())
    rng = np.random.default_rng(0)
    genotypes = [SPACE.sample(rng) for _ in range(6)]
    for genotype in genotypes:
        account.consider(genotype)
    assert [fields["id"] for _, fields in events] == [genotype_id(genotype) for genotype in genotypes]
    for kind, fields in events:
        assert kind == "candidate" and fields["seed"] == 3
        assert (fields["top1"] is None) == (not fields["feasible"]) == (fields["reason"] is not None)


@pytest.mark.parametrize("sizes", [{"population": 0}, {"tournament": 0}, {"rounds": -1}])
def test_sizes_that_make_no_sense_are_refused(sizes):
    with pytest.raises(InvalidInputError, match="at least"):
        EvolutionConfig(**sizes)


def test_evolution_goes_on_from_what_another_strategy_found():
    """Its first proposals are one gene away from the networks it was given, and never those themselves."""
    rng = np.random.default_rng(0)
    given = [SPACE.sample(rng) for _ in range(4)]
    known = [CostAccount("other", 0, task(), Silent()).consider(genotype) for genotype in given]
    strategy = Evolution(SPACE, EvolutionConfig(population=4, tournament=4), 0, known=known, name="hybrid")
    best = max(known, key=lambda candidate: candidate.fitness).genotype
    for _ in range(10):
        child = strategy.ask()
        changed = sum(
            getattr(a, field.name) != getattr(b, field.name)
            for a, b in zip(child.blocks, best.blocks)
            for field in dataclasses.fields(a)
        )
        assert changed == 1 and genotype_id(child) not in {candidate.id for candidate in known}
    assert strategy.name == "hybrid"
