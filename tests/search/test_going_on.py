"""Strategies that are killed between any two entries of their journal end where uninterrupted ones do."""

import dataclasses
import json

import numpy as np
import pytest

from tests.search.test_workers import PrescribedPool
from tests.search.toy_landscape import SPACE, closeness, toy_task
from tvnjax.core.errors import InvalidInputError
from tvnjax.core.monitor import Silent
from tvnjax.core.run_dir import RunDir, jsonable
from tvnjax.core.stages import Stage
from tvnjax.report.record import read_events
from tvnjax.search.base import Evaluation, Verdict
from tvnjax.search.cost_account import CostAccount, describe_candidate, run_strategy
from tvnjax.search.own import Started, Strategy
from tvnjax.search.results import result_from_json, result_to_json
from tvnjax.search.strategies.evolution import Evolution, EvolutionConfig
from tvnjax.search.strategies.random_search import RandomSearch
from tvnjax.search.strategies.successive_halving import HalvingConfig, SuccessiveHalving
from tvnjax.search.strategies.weight_sharing import SharingConfig, WeightSharing
from tvnjax.search.workers import run_on_workers


class Climbs(Strategy):
    """One of one's own: a network seen before may come again."""

    best = None

    def ask(self):
        return self.space.sample(self.rng) if self.best is None else self.space.mutate(self.best.genotype, self.rng)

    def tell(self, candidate):
        self.best = candidate if self.best is None or candidate.fitness >= self.best.fitness else self.best


STRATEGIES = {
    "random": lambda: RandomSearch(SPACE, 0),
    "evolution": lambda: Evolution(SPACE, EvolutionConfig(population=4, tournament=2), 0),
    "rounds": lambda: Evolution(SPACE, EvolutionConfig(population=4, tournament=2, children=3, leaves="oldest"), 0),
    "halving": lambda: SuccessiveHalving(SPACE, HalvingConfig(networks=6, keep=2, rungs=2), 0),
    "sharing": lambda: WeightSharing("sharing", RandomSearch(SPACE, 0), SharingConfig(candidates=8, finalists=3)),
    "own": lambda: Started("own", Climbs, SPACE, 0),
}


class Killed(BaseException):
    pass


def landscape(kill_at=None):
    """Some networks are refused, some break, some are inherited; dies at a number of calls. Returns a list of what was
    evaluated too."""
    done = []

    def evaluate(genotype, seed=0, part=1.0):
        if len(done) == kill_at:
            raise Killed
        done.append(genotype)
        near = closeness(genotype)
        failed = "the loss is finite; at step 3 it is not" if near > 0.9 else None
        return Evaluation(top1=near * part, top5=1 / 3, compile_seconds=0.1, failed=failed, seconds=np.float64(1 / 7))

    def check(genotype):
        feasible = closeness(genotype) > 0.15
        return Verdict(predicted_ms=1.0, latency_ms=1 / 3, feasible=feasible, seconds=0.3), 0.0

    seen = Verdict(predicted_ms=1.0, latency_ms=None, feasible=True)
    task = toy_task(inherit=evaluate, screen=lambda genotype: seen)
    return dataclasses.replace(task, evaluate=evaluate, check=check), done


def search(run_dir, name, kill_at=None, monitor=None, limit=12):
    task, done = landscape(kill_at)
    stage = Stage(monitor or run_dir or Silent(), run_dir, name)
    options = {"seed": 0, "limit_s": None, "monitor": stage, "limit_evaluations": limit}
    try:
        return run_strategy(STRATEGIES[name](), task, **options), done
    finally:
        stage.close()


class Telling(Silent):
    """Passes events on to a run's directory."""

    def __init__(self, run_dir):
        self.run_dir = run_dir

    def event(self, kind, **fields):
        self.run_dir.event(kind, **fields)


@pytest.mark.parametrize("name", STRATEGIES)
def test_killed_and_resumed_at_every_evaluation(name, tmp_path):
    whole, done = search(None, name)
    for kill_at in range(len(done)):
        run_dir = RunDir(tmp_path / str(kill_at))
        with pytest.raises(Killed):
            search(run_dir, name, kill_at, Telling(run_dir))
        run_dir.close()
        run_dir = RunDir(tmp_path / str(kill_at), resume=True)
        result, again = search(run_dir, name, monitor=Telling(run_dir))
        run_dir.close()
        assert result_to_json(result) == result_to_json(whole)
        assert len(again) == len(done) - kill_at, "nothing finished is done again"
        told = [event["id"] for event in read_events(tmp_path / str(kill_at)) if event["event"] == "candidate"]
        assert told == [candidate.id for candidate in whole.candidates], "every candidate is told of once"


def test_a_finished_search_made_again_of_its_journal_has_the_same_seconds(tmp_path):
    def clocked(run_dir):
        task, _ = landscape()
        fast = Evaluation(top1=0.5, top5=1.0, compile_seconds=0.0)
        timeless = dataclasses.replace(task, clocked=True, evaluate=lambda *_: fast)
        stage = Stage(Silent(), run_dir, "random")
        try:
            return run_strategy(STRATEGIES["random"](), timeless, seed=0, limit_s=0.05, monitor=stage)
        finally:
            stage.close()

    run_dir = RunDir(tmp_path / "run")
    first, second = clocked(run_dir), clocked(run_dir)
    assert first.seconds >= 0.05 and len(first.candidates) > 1
    assert json.dumps(jsonable(result_to_json(first))) == json.dumps(jsonable(result_to_json(second)))


@pytest.mark.parametrize("kill_at", [0, 1])
def test_second_measurements_are_charged_and_not_made_again(kill_at, tmp_path):
    """Of three networks measured twice the second one is over, and the third cannot be measured."""
    rng = np.random.default_rng(0)
    sampled = [SPACE.sample(rng) for _ in range(40)]
    genotypes = [genotype for genotype in sampled if closeness(genotype) > 0.15][:3]
    assert all(closeness(genotype) <= 0.9 for genotype in genotypes)

    heard = []

    class Hearing(Silent):
        def event(self, kind, **fields):
            if kind == "measured_again":
                heard.append((fields["id"], fields["latency_ms"], fields["feasible"]))

    def confirmed(run_dir, kill_at=None):
        asked = []

        def confirm(genotype):
            if len(asked) == kill_at:
                raise Killed
            number = genotypes.index(genotype)
            asked.append(genotype)
            latency_ms = (0.9, 1.1, None)[number]
            feasible = latency_ms is not None and latency_ms <= 1
            verdict = Verdict(predicted_ms=1.0, latency_ms=latency_ms, feasible=feasible, seconds=0.7, reason="again")
            return verdict, 0.2

        task = dataclasses.replace(landscape()[0], confirm=confirm)
        stage = Stage(Hearing(), run_dir, "twice")
        try:
            account = CostAccount("twice", 0, task, stage)
            for genotype in genotypes:
                account.consider(genotype, twice=True)
            return account.finish(), asked
        finally:
            stage.close()

    whole, asked = confirmed(None)
    first, second, third = whole.candidates
    assert heard == [(first.id, 0.9, True), (second.id, 1.1, False), (third.id, None, False)]
    assert asked == genotypes and whole.evaluations == 3 and whole.infeasible == 1
    assert first.usable and first.verdict.latency_ms == 1 / 3, "the first measurement stands"
    assert not second.usable and second.verdict.latency_ms == 1.1 and second.verdict.reason == "again"
    assert third.usable, "the run's own confirmation decides"
    said = describe_candidate(second)
    assert said["fitness"] is None and said["top1"] is not None and not said["feasible"] and said["reason"] == "again"
    assert whole.seconds == pytest.approx(3 * (0.3 + 1 / 7 + 0.7)) and whole.compile_seconds == pytest.approx(0.9)
    run_dir = RunDir(tmp_path / "run")
    with pytest.raises(Killed):
        confirmed(run_dir, kill_at)
    run_dir.close()
    run_dir = RunDir(tmp_path / "run", resume=True)
    result, again = confirmed(run_dir)
    run_dir.close()
    assert result_to_json(result) == result_to_json(whole) and again == genotypes[kill_at:]


def test_a_torn_or_damaged_journal_goes_on_from_its_good_part(tmp_path):
    whole, done = search(None, "evolution")
    run_dir = RunDir(tmp_path / "run")
    search(run_dir, "evolution", monitor=Silent())
    run_dir.close()
    journal = tmp_path / "run" / "stages" / "evolution" / "journal.jsonl"
    lines = journal.read_bytes().splitlines(keepends=True)
    flipped = lines[5].replace(b'"seconds"', b'"sEconds"', 1)
    assert flipped != lines[5]
    for damaged in ([*lines[:7], lines[7][:20]], [*lines[:5], flipped, *lines[6:]]):
        journal.write_bytes(b"".join(damaged))
        run_dir = RunDir(tmp_path / "run", resume=True)
        with pytest.warns(UserWarning, match="torn or damaged"):
            result, again = search(run_dir, "evolution", monitor=Silent())
        run_dir.close()
        assert result_to_json(result) == result_to_json(whole) and 0 < len(again) < len(done)
        # What was written behind the damage counts from now on.
        run_dir = RunDir(tmp_path / "run", resume=True)
        with pytest.warns(UserWarning, match="torn or damaged"):
            _, again = search(run_dir, "evolution", monitor=Silent())
        run_dir.close()
        assert not again


def test_another_strategy_does_not_go_on_with_a_journal(tmp_path):
    run_dir = RunDir(tmp_path / "run")
    search(run_dir, "random", monitor=Silent())
    (tmp_path / "run" / "stages" / "random").rename(tmp_path / "run" / "stages" / "halving")
    with pytest.raises(InvalidInputError, match="software it began with"):
        search(run_dir, "halving", monitor=Silent())


@pytest.mark.parametrize("name", ["evolution", "rounds", "halving"])  # of one's own: test_own_strategies.py
@pytest.mark.parametrize("kill_at", [1, 5, 9])
def test_workers_go_on_with_what_was_under_way(name, kill_at, tmp_path):
    def run(kill_at, pool_seed, run_dir):
        task, done = landscape(kill_at)
        stage = Stage(Silent(), run_dir, name)
        pool = PrescribedPool(3, pool_seed, evaluate=task.evaluate)
        options = {"seed": 0, "limit_s": None, "monitor": stage, "limit_evaluations": 12}
        try:
            return run_on_workers(STRATEGIES[name](), task, pool, **options), done
        finally:
            stage.close()

    run_dir = RunDir(tmp_path / "run")
    with pytest.raises(Killed):
        run(kill_at, 1, run_dir)
    before = [json.loads(line) for line in (run_dir.path / "stages" / name / "journal.jsonl").open()]
    finished = [entry["key"] for entry in before if entry["op"] == "evaluate"]
    assert len(finished) == kill_at
    result, again = run(None, 2, run_dir)
    trained = [f"{c.id} {c.part:g}" for c in result.candidates if c.evaluation is not None]
    assert trained[:kill_at] == finished and result.evaluations == len(again) + kill_at >= 12
    assert len(set(trained)) == len(trained)


def test_results_come_back_to_the_bit():
    whole, _ = search(None, "evolution")
    told = json.loads(json.dumps(jsonable(result_to_json(whole))))
    assert result_from_json(told) == whole
