"""Workers: nothing is lost, nothing depends on more than the order of results, and what kills a worker is a failure."""

import dataclasses
import os
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import numpy as np
import pytest

from tests.search.toy_landscape import SPACE, Counted, closeness, toy_task
from tvnjax.core.errors import InvalidInputError
from tvnjax.core.monitor import Silent
from tvnjax.search.base import Evaluation
from tvnjax.search.cost_account import run_strategy
from tvnjax.search.pools import Lost, RayPool, SpawnPool, Workers
from tvnjax.search.strategies.evolution import Evolution, EvolutionConfig
from tvnjax.search.strategies.random_search import RandomSearch
from tvnjax.search.strategies.successive_halving import HalvingConfig, SuccessiveHalving
from tvnjax.search.workers import run_on_workers

COUNT = 30


class PrescribedPool:
    """Finishes what is under way in an order drawn from a seed; loses the jobs of some numbers."""

    def __init__(self, count, seed, lose=(), evaluate=None):
        self.count, self._rng, self._lose = count, np.random.default_rng(seed), set(lose)
        self._evaluate = evaluate or toy_task().evaluate
        self._jobs, self.submitted, self.most = {}, 0, 0

    def submit(self, worker, strategy, genotype, seed, part):
        assert worker not in self._jobs
        self._jobs[worker] = (self.submitted, genotype, seed, part)
        self.submitted += 1
        self.most = max(self.most, len(self._jobs))

    def wait(self):
        worker = sorted(self._jobs)[int(self._rng.integers(len(self._jobs)))]
        number, *arguments = self._jobs.pop(worker)
        return worker, Lost("killed") if number in self._lose else self._evaluate(*arguments)

    def close(self):
        pass


def search(pool, strategy, limit_s=1e9, task=None):
    return run_on_workers(strategy, task or toy_task(), pool, seed=0, limit_s=limit_s, monitor=Silent())


def evolution(count=60):
    return Counted(Evolution(SPACE, EvolutionConfig(population=10, tournament=4), 0), count)


def test_the_order_of_results_decides_and_nothing_else():
    first, second, other = (
        [c.id for c in search(PrescribedPool(3, seed), evolution()).candidates] for seed in (0, 0, 1)
    )
    assert first == second != other and len(first) == len(other) == 60


def test_one_worker_is_the_search_in_this_process():
    alone = run_strategy(evolution(), toy_task(), seed=0, limit_s=1e9, monitor=Silent())
    with_one = search(PrescribedPool(1, 0), evolution())
    assert [c.id for c in with_one.candidates] == [c.id for c in alone.candidates]
    assert with_one.seconds == pytest.approx(alone.seconds) and with_one.seconds_by_kind == pytest.approx(
        alone.seconds_by_kind
    )


@pytest.mark.parametrize(
    "make", [evolution, lambda: Counted(SuccessiveHalving(SPACE, HalvingConfig(networks=9), 0), 200)]
)
def test_workers_are_kept_busy_until_the_seconds_of_all_are_spent(make):
    pool = PrescribedPool(4, 0)
    result = search(pool, make(), limit_s=20)
    assert pool.most == 4
    # What was under way is finished: at most three more trainings of at most 1 s, checked in 0.5 s.
    assert 20 <= result.seconds <= 20 + 4 * 1.5


def test_a_lost_workers_candidate_is_trained_again_and_nothing_else_changes():
    plain = search(PrescribedPool(1, 0), Counted(RandomSearch(SPACE, 0), COUNT))
    lossy = search(PrescribedPool(1, 0, lose=[3, 10]), Counted(RandomSearch(SPACE, 0), COUNT))
    told = lambda result: {c.id: c.fitness for c in result.candidates}  # noqa: E731
    assert told(plain) == told(lossy) and len(lossy.candidates) == COUNT
    assert "failed" in lossy.seconds_by_kind and "failed" not in plain.seconds_by_kind, "the lost seconds are charged"


def test_a_candidate_that_loses_two_workers_is_failed_with_its_reason():
    result = search(PrescribedPool(1, 0, lose=[3, 4]), Counted(RandomSearch(SPACE, 0), 10))
    failed = [c for c in result.candidates if c.evaluation.failed]
    assert len(failed) == 1 and "killed" in failed[0].evaluation.failed and "2 times" in failed[0].evaluation.failed
    assert len(result.candidates) == 10 and result.best not in failed


def test_refused_proposals_never_reach_a_worker():
    task = toy_task()
    check = task.check

    def refuse_some(genotype):
        verdict, compiling = check(genotype)
        return dataclasses.replace(verdict, feasible=closeness(genotype) < 0.4), compiling

    pool = PrescribedPool(2, 0)
    result = search(pool, Counted(RandomSearch(SPACE, 0), 40), task=dataclasses.replace(task, check=refuse_some))
    assert result.infeasible > 3 and pool.submitted == 40 - result.infeasible == result.evaluations


# What the processes run.


class SlowEvaluator:
    """A candidate takes a moment; one of a certain closeness runs out of memory, or takes its process with it."""

    def __init__(self, breaks=None, kills=None):
        self.breaks, self.kills = breaks, kills

    def __call__(self, strategy):
        def evaluate(genotype, seed, part):
            time.sleep(0.05)
            if closeness(genotype) == self.kills:
                os.kill(os.getpid(), signal.SIGKILL)
            if closeness(genotype) == self.breaks:
                raise MemoryError("no memory for the step's temporaries")
            return Evaluation(top1=closeness(genotype), top5=1.0, compile_seconds=0.0)

        return evaluate


def kill_one(pids, done):
    """Kills the second worker once all have begun."""
    until = time.monotonic() + 120
    while time.monotonic() < until:
        known = pids()
        if len(known) >= 3 and done() >= 4:
            os.kill(known[1], signal.SIGKILL)
            return
        time.sleep(0.01)


class Telling(Counted):
    """Counts what came back."""

    told = 0

    def tell(self, candidate):
        super().tell(candidate)
        self.told += 1


def killed_run(pool, pids):
    strategy = Telling(RandomSearch(SPACE, 0), COUNT)
    killer = threading.Thread(target=kill_one, args=(pids, lambda: strategy.told))
    killer.start()
    try:
        result = search(pool, strategy)
    finally:
        killer.join()
        pool.close()
    expected = {}
    plain = Counted(RandomSearch(SPACE, 0), COUNT)
    while (genotype := plain.ask()) is not None:
        expected[genotype] = closeness(genotype)
    assert {c.genotype: c.evaluation.top1 for c in result.candidates} == expected
    assert len(result.candidates) == COUNT and not any(c.evaluation.failed for c in result.candidates)
    assert result.seconds_by_kind["failed"] > 0, "a worker was lost"


def test_killing_one_of_three_processes_loses_no_result_and_changes_none():
    pool = SpawnPool(SlowEvaluator(), 3)
    killed_run(pool, lambda: pool.pids)


ORPHANS = """
import time
from pathlib import Path
from tests.search.test_workers import SlowEvaluator
from tests.search.toy_landscape import SPACE
from tvnjax.search.pools import SpawnPool
import numpy as np

if __name__ == "__main__":
    pool = SpawnPool(SlowEvaluator(), 2)
    for worker in range(2):
        pool.submit(worker, "random", SPACE.sample(np.random.default_rng(0)), 0, 1.0)
    for worker in range(2):
        pool.wait()
    print(*pool.pids, flush=True)
    time.sleep(60)
"""


def test_workers_end_with_a_main_process_that_is_killed(tmp_path):
    script = tmp_path / "main.py"
    script.write_text(ORPHANS)
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(["", os.getcwd(), *sys.path])}
    main = subprocess.Popen([sys.executable, script], stdout=subprocess.PIPE, text=True, env=environment)
    pids = [int(pid) for pid in main.stdout.readline().split()]
    main.kill()
    main.wait()
    until = time.monotonic() + 30
    while any(Path(f"/proc/{pid}/cmdline").exists() and Path(f"/proc/{pid}/cmdline").read_bytes() for pid in pids):
        assert time.monotonic() < until, "a worker outlives the process it works for"
        time.sleep(0.05)
    assert len(pids) == 2


def test_candidates_that_break_or_kill_are_failed_with_their_reasons():
    drawn = Counted(RandomSearch(SPACE, 0), 20)
    met = [closeness(genotype) for genotype in iter(drawn.ask, None)]
    breaks, kills = sorted(set(met), key=met.count)[:2]
    pool = SpawnPool(SlowEvaluator(breaks, kills), 2)
    try:
        result = search(pool, Counted(RandomSearch(SPACE, 0), 20))
    finally:
        pool.close()
    reasons = {closeness(c.genotype): c.evaluation.failed for c in result.candidates if c.evaluation.failed}
    assert set(reasons) == {breaks, kills}
    assert "MemoryError: no memory" in reasons[breaks] and "died" in reasons[kills]
    assert len(result.candidates) == 20 and result.seconds_by_kind["failed"] > 0


class Refusing:
    """What a worker says whose clips are others than the run's."""

    def __call__(self, strategy):
        raise InvalidInputError("workers train on the clips of their run; these are others: share a cache folder")


def refused_search(pool):
    try:
        with pytest.raises(
            InvalidInputError, match=r"^workers train on the clips of their run; these are others: share"
        ):
            search(pool, Counted(RandomSearch(SPACE, 0), 20))
    finally:
        pool.close()


def test_a_worker_that_refuses_what_it_is_given_ends_the_search():
    """On 0.1 every candidate counted as a network that cannot be trained, and the search went on to its end."""
    refused_search(SpawnPool(Refusing(), 2))


def test_a_ray_worker_that_refuses_what_it_is_given_ends_the_search():
    pytest.importorskip("ray")
    refused_search(RayPool(Refusing(), 2))


def test_ray_does_not_take_the_signals_of_the_run():
    pytest.importorskip("ray")
    before = [signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)]
    pool = RayPool(SlowEvaluator(), 1)
    try:
        assert [signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)] == before
    finally:
        pool.close()


def test_killing_one_of_three_ray_workers_loses_no_result_and_changes_none():
    pytest.importorskip("ray")
    pool = RayPool(SlowEvaluator(), 3)
    known = pool.pids()
    killed_run(pool, lambda: known)


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"count": 0}, "at least 1"),
        ({"count": 3}, "--workers.engine"),
        ({"engine": "pool", "address": "auto"}, "Ray cluster"),
    ],
)
def test_workers_that_make_no_sense_are_refused(options, words):
    with pytest.raises(InvalidInputError, match=words):
        Workers(**options)
