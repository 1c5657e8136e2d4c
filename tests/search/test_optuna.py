"""Optuna's samplers on a task whose answer is known, without training anything."""

import sys

import numpy as np
import pytest

from tests.search.test_strategies import SPACE, closeness, search, task
from tvnjax.core.errors import InvalidInputError
from tvnjax.search.base import Candidate, Evaluation, Verdict
from tvnjax.search.registry import registered
from tvnjax.search.strategies.optuna_search import OptunaConfig, OptunaSearch
from tvnjax.search.strategies.random_search import RandomSearch
from tvnjax.spaces.tvn.lowering import lower

SAMPLERS = ("tpe", "nsga2")


def make(sampler, seed, **changes):
    pytest.importorskip("optuna")
    return OptunaSearch(SPACE, sampler, OptunaConfig(**changes), seed)


@pytest.mark.parametrize("sampler", SAMPLERS)
def test_it_finds_better_networks_than_random_search(sampler):
    count = {"tpe": 120, "nsga2": 300}[sampler]
    found = [search(make(sampler, seed), count, task()).best.fitness for seed in range(3)]
    drawn = [search(RandomSearch(SPACE, seed), count, task()).best.fitness for seed in range(3)]
    assert np.mean(found) > np.mean(drawn) + 0.1


@pytest.mark.parametrize("sampler", SAMPLERS)
def test_a_seed_repeats_the_search_and_another_does_not(sampler):
    first, second, other = ([c.id for c in search(make(sampler, seed), 30, task()).candidates] for seed in (0, 0, 1))
    assert first == second != other and len(set(first)) == len(first), "no network is proposed twice"


@pytest.mark.parametrize("sampler", SAMPLERS)
def test_it_learns_what_is_over_the_budget(sampler):
    """Of networks drawn at random nine in ten are over; of later ones far fewer."""
    rng = np.random.default_rng(0)
    limit = float(np.quantile([lower(SPACE.sample(rng), 4).params for _ in range(200)], 0.1))
    result = search(make(sampler, 0), 150, task(limit_params=limit))
    feasible = [candidate.verdict.feasible for candidate in result.candidates]
    assert np.mean(feasible[:20]) < 0.35 < np.mean(feasible[-50:])


def test_what_fails_is_told_as_failed():
    strategy = make("tpe", 0)
    genotype = strategy.ask()
    verdict = Verdict(predicted_ms=1.0, latency_ms=1.0, feasible=True)
    failed = Evaluation(top1=0.0, top5=0.0, compile_seconds=0.0, failed="no memory")
    strategy.tell(Candidate(genotype=genotype, verdict=verdict, evaluation=failed, charged_s=0.0))
    (trial,) = strategy._study.trials
    assert trial.state.name == "FAIL"


def test_both_objectives_are_the_networks_own():
    strategy = make("nsga2", 0)
    genotypes = [strategy.ask(), strategy.ask()]
    for number, genotype in enumerate(reversed(genotypes)):
        verdict = Verdict(predicted_ms=1.0, latency_ms=2.0 + number, feasible=True)
        scored = Evaluation(top1=closeness(genotype), top5=1.0, compile_seconds=0.0)
        strategy.tell(Candidate(genotype=genotype, verdict=verdict, evaluation=scored, charged_s=0.0))
    first, second = strategy._study.trials
    assert first.values == [closeness(genotypes[0]) + 1.0, 3.0] and second.values[1] == 2.0


def test_a_space_of_one_network_ends():
    one = type("One", (), {"assembled": lambda self, choose: SPACE.sample(np.random.default_rng(0))})()
    pytest.importorskip("optuna")
    strategy = OptunaSearch(one, "tpe", OptunaConfig(), 0)
    genotype = strategy.ask()
    verdict = Verdict(predicted_ms=1.0, latency_ms=1.0, feasible=False)
    strategy.tell(Candidate(genotype=genotype, verdict=verdict, evaluation=None, charged_s=0.0))
    assert strategy.ask() is None


def test_without_optuna_it_says_what_to_install(monkeypatch):
    monkeypatch.setitem(sys.modules, "optuna", None)
    monkeypatch.delitem(sys.modules, "optuna")
    monkeypatch.setattr(sys, "meta_path", [_Without(), *sys.meta_path])
    with pytest.raises(InvalidInputError, match="pip install 'tvnjax\\[optuna\\]'"):
        OptunaSearch(SPACE, "tpe", OptunaConfig(), 0)
    with pytest.raises(InvalidInputError, match="pip install 'tvnjax\\[optuna\\]'"):
        registered("optuna_nsga2")


class _Without:
    """An environment without Optuna."""

    def find_spec(self, name, path=None, target=None):
        if name == "optuna":
            raise ModuleNotFoundError("No module named 'optuna'", name="optuna")
        return


@pytest.mark.parametrize("changes", [{"startup": 0}, {"population": 1}])
def test_settings_that_mean_nothing_are_refused(changes):
    with pytest.raises(InvalidInputError):
        OptunaConfig(**changes)
