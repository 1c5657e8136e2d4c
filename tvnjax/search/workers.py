"""Trainings on several workers at once, asynchronously as in the paper's evolution (section 3.3: ten workers).

Proposals are asked for and filtered here, one at a time, so that no two networks are timed together; trainings run on
the workers, and a strategy is told each result as it comes. Given the order of results, a search is repeatable. Workers
are processes of ``concurrent.futures`` or actors of Ray: there is no queue of our own besides the proposals under way.
"""

import concurrent.futures
import dataclasses
import multiprocessing
import os
import signal
import threading
import time
from collections import deque
from collections.abc import Callable, Mapping
from concurrent.futures.process import BrokenProcessPool
from typing import Any, Literal, Protocol

from tvnjax.core.errors import InvalidInputError
from tvnjax.core.monitor import Monitor
from tvnjax.search.base import AskTell, Evaluation, Proposal, SearchResult, SearchTask, Verdict, Wait
from tvnjax.search.cost_account import CostAccount, ask, evaluation_key, show_progress, tell, waits_for_nothing
from tvnjax.spaces.base import Genotype

Evaluate = Callable[[Genotype, int, float], Evaluation]
MakeEvaluate = Callable[[str], Evaluate]
"""Makes what evaluates the candidates of one strategy; called on the worker, so it can be pickled."""

_ATTEMPTS = 2
"""Workers a candidate may lose before it counts as what kills them."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class Workers:
    """Where candidates are trained."""

    engine: Literal["none", "pool", "ray"] = "none"
    """``none``: in this process. ``pool``: processes of this machine. ``ray``: actors of a Ray cluster (extra
    ``ray``)."""
    count: int = 1
    address: str | None = None
    """Of a Ray cluster that is there, e.g. ``auto``. Default: one of this machine's own."""

    def __post_init__(self) -> None:
        if self.count < 1:
            raise InvalidInputError(f"workers.count is at least 1; got {self.count}")
        if self.engine == "none" and self.count > 1:
            raise InvalidInputError(
                f"several workers need an engine; got workers.count {self.count} with engine none: give "
                "--workers.engine pool or ray"
            )
        if self.address is not None and self.engine != "ray":
            raise InvalidInputError(f"workers.address is a Ray cluster's; got it with engine {self.engine}")


@dataclasses.dataclass(frozen=True)
class Lost:
    """What became of a job whose worker died."""

    reason: str


class Pool(Protocol):
    """Workers by number, each with one job at a time."""

    count: int

    def submit(self, worker: int, strategy: str, genotype: Genotype, seed: int, part: float) -> None: ...

    def wait(self) -> tuple[int, Evaluation | Lost]:
        """The next worker that is done, and with what; one that died is replaced."""
        ...

    def close(self) -> None: ...


class SpawnPool:
    """Processes of this machine; each an executor of its own, so that one that dies takes no other job along."""

    def __init__(self, make: MakeEvaluate, count: int):
        self.count, self._make = count, make
        self._executors = [self._new() for _ in range(count)]
        self._futures: dict[concurrent.futures.Future, int] = {}

    @property
    def pids(self) -> list[int]:
        """Of the processes that have started."""
        return [pid for executor in self._executors for pid in (executor._processes or {})]

    def submit(self, worker: int, strategy: str, genotype: Genotype, seed: int, part: float) -> None:
        arguments = (strategy, genotype, seed, part)
        try:
            future = self._executors[worker].submit(_evaluate_here, *arguments)
        except BrokenProcessPool:
            # It died between two jobs.
            self._executors[worker] = self._new()
            future = self._executors[worker].submit(_evaluate_here, *arguments)
        self._futures[future] = worker

    def wait(self) -> tuple[int, Evaluation | Lost]:
        done, _ = concurrent.futures.wait(self._futures, return_when=concurrent.futures.FIRST_COMPLETED)
        future = min(done, key=lambda one: self._futures[one])
        worker = self._futures.pop(future)
        try:
            return worker, future.result()
        except BrokenProcessPool:
            self._executors[worker].shutdown(wait=False, cancel_futures=True)
            self._executors[worker] = self._new()
            return worker, Lost("its worker process died, as it does when memory runs out")

    def close(self) -> None:
        """Ends the processes, a training that is under way included: what is wanted of it has been waited for."""
        for executor in self._executors:
            for process in list((executor._processes or {}).values()):
                process.terminate()
            executor.shutdown(wait=False, cancel_futures=True)

    def _new(self) -> concurrent.futures.ProcessPoolExecutor:
        # Spawned, not forked: a forked copy of a process that holds XLA's threads hangs.
        context = multiprocessing.get_context("spawn")
        return concurrent.futures.ProcessPoolExecutor(1, context, initializer=_start, initargs=(self._make,))


class RayPool:
    """Actors of a Ray cluster: a local one, or one that is there.

    Raises:
        InvalidInputError: Ray is not installed.
    """

    def __init__(self, make: MakeEvaluate, count: int, address: str | None = None):
        ray = _import_ray()
        self._ray, self.count, self._make = ray, count, make
        self._began = not ray.is_initialized()
        if self._began:
            options: dict[str, Any] = {"include_dashboard": False, "log_to_driver": False}
            # A local cluster has as many slots as workers were asked for, however few cores there are.
            options |= {"address": address} if address else {"num_cpus": count}
            # From another thread: in the main one Ray takes SIGTERM for itself, and ends the process without a last
            # checkpoint. Ray's processes end with the thread that began them, which therefore stays.
            self._starter = concurrent.futures.ThreadPoolExecutor(1)
            self._starter.submit(ray.init, **options).result()
        self._actor = ray.remote(num_cpus=1)(_Evaluator)
        self._actors = [self._actor.remote(make) for _ in range(count)]
        self._references: dict[Any, int] = {}

    def submit(self, worker: int, strategy: str, genotype: Genotype, seed: int, part: float) -> None:
        reference = self._actors[worker].evaluate.remote(strategy, genotype, seed, part)
        self._references[reference] = worker

    def wait(self) -> tuple[int, Evaluation | Lost]:
        (reference, *_), _ = self._ray.wait(list(self._references), num_returns=1)
        worker = self._references.pop(reference)
        try:
            return worker, self._ray.get(reference)
        except (self._ray.exceptions.RayActorError, self._ray.exceptions.OutOfMemoryError) as error:
            self._actors[worker] = self._actor.remote(self._make)
            return worker, Lost(f"its Ray worker died: {str(error).splitlines()[0]}")
        except self._ray.exceptions.RayTaskError as error:
            # Ray's text is a traceback of the worker; a refusal is one line.
            cause = getattr(error, "cause", None)
            raise cause if isinstance(cause, InvalidInputError) else error from None

    def pids(self) -> list[int]:
        """Of the actors' processes."""
        return self._ray.get([actor.pid.remote() for actor in self._actors])

    def close(self) -> None:
        for actor in self._actors:
            self._ray.kill(actor)
        if self._began:
            self._ray.shutdown()
            self._starter.shutdown()


def _import_ray() -> Any:
    try:
        import ray  # type: ignore[import-not-found]
    except ImportError:
        raise InvalidInputError(
            "the engine ray needs Ray, which is not installed: pip install 'tvnjax[ray]', or give --workers.engine pool"
        ) from None
    return ray


def check_engine(workers: Workers) -> None:
    """Before anything is spent on a search whose workers could not be had.

    Raises:
        InvalidInputError: the engine is not installed.
    """
    if workers.engine == "ray":
        _import_ray()


def make_pool(workers: Workers, make: MakeEvaluate) -> Pool | None:
    """The workers asked for; ``None`` for this process alone."""
    if workers.engine == "pool":
        return SpawnPool(make, workers.count)
    return RayPool(make, workers.count, workers.address) if workers.engine == "ray" else None


@dataclasses.dataclass(kw_only=True)
class _Job:
    proposal: Proposal
    verdict: Verdict
    started: float = 0.0
    lost: int = 0


def run_on_workers(
    strategy: AskTell,
    task: SearchTask,
    pool: Pool,
    *,
    seed: int,
    limit_s: float | None,
    monitor: Monitor,
    initial_seconds: Mapping[str, float] | None = None,
    limit_evaluations: int | None = None,
) -> SearchResult:
    """Keeps every worker busy until the seconds are spent; what is under way then is finished and counted.

    Device seconds are those of all workers together and of filtering. A candidate whose worker died is trained again,
    before anything new; one that loses two is marked failed. Either way the lost seconds are charged.
    """
    task = dataclasses.replace(task, clocked=False)
    account = CostAccount(strategy.name, seed, task, monitor, limit_s, initial_seconds, limit_evaluations)
    busy: dict[int, _Job] = {}
    again, more = _recall(strategy, account)
    while True:
        for worker in [number for number in range(pool.count) if number not in busy]:
            job = again.popleft() if again else None
            if job is None and more:
                job, more = _next_job(strategy, account)
            if job is None:
                break
            job.started = time.monotonic()
            proposal = job.proposal
            pool.submit(worker, strategy.name, proposal.genotype, seed, proposal.part)
            busy[worker] = job
        if not busy and more:
            raise waits_for_nothing(strategy)
        if not busy:
            break
        worker, outcome = pool.wait()
        job = busy.pop(worker)
        if isinstance(outcome, Lost):
            job.lost += 1
            lost_s = time.monotonic() - job.started
            event = {"strategy": strategy.name, "seed": seed, "reason": outcome.reason, "lost_s": lost_s}
            monitor.event("worker_lost", **event)
            if job.lost < _ATTEMPTS:
                account.device.charge("failed", lost_s)
                again.append(job)
                continue
            reason = f"{outcome.reason}, {job.lost} times"
            outcome = Evaluation(top1=0.0, top5=0.0, compile_seconds=0.0, failed=reason, seconds=lost_s)
        costs = account.charge_evaluation(job.proposal, outcome, 0.0)
        tell(strategy, account.record(job.proposal, job.verdict, outcome, costs))
        show_progress(account)
    return account.finish()


def _recall(strategy: AskTell, account: CostAccount) -> tuple[deque[_Job], bool]:
    """What the journal says, in its order: results came back in another than they were proposed in. Returns what was
    being trained when it ended, and whether the strategy has more."""
    # Several of one key where a strategy proposed a network again before it was told of it.
    under_way: list[_Job] = []
    more = True
    while account.journal.replaying:
        if account.journal.upcoming == "evaluate":
            key = account.journal.upcoming_key
            job = next((one for one in under_way if evaluation_key(one.proposal) == key), None)
            if job is None:
                raise account.journal.other_course(f"nothing of '{key}' was proposed")
            under_way.remove(job)
            evaluation, costs = account.recall_evaluation(job.proposal)
            tell(strategy, account.record(job.proposal, job.verdict, evaluation, costs))
            continue
        if account.journal.upcoming == "end":
            return deque(), False
        job, more = _next_job(strategy, account)
        if job is not None:
            under_way.append(job)
        elif account.journal.upcoming not in ("evaluate", "end", None):
            raise account.journal.other_course("the strategy proposes nothing")
    return deque(under_way), more


def _next_job(strategy: AskTell, account: CostAccount) -> tuple[_Job | None, bool]:
    """The next feasible proposal; without one, whether there may be one later. What is refused, or scored with
    inherited weights, is told at once."""
    while not account.exhausted:
        if account.journal.upcoming == "evaluate":
            # Being recalled: here the seconds were spent, or the strategy waited.
            return None, True
        asked = ask(strategy)
        if asked is None:
            return None, False
        if isinstance(asked, Wait):
            return None, True
        if asked.scoring == "inherited":
            tell(strategy, account.consider(asked))
            continue
        verdict = account.check(asked.genotype)
        if verdict.feasible:
            return _Job(proposal=asked, verdict=verdict), True
        tell(strategy, account.record(asked, verdict, None))
    return None, False


class _Evaluator:
    """What a worker does: makes an evaluator for each strategy, and turns what breaks into a reason."""

    def __init__(self, make: MakeEvaluate):
        self._make = make
        self._made: dict[str, Evaluate] = {}

    def evaluate(self, strategy: str, genotype: Genotype, seed: int, part: float) -> Evaluation:
        """Trains a candidate.

        Raises:
            InvalidInputError: this worker cannot train any, such as one whose clips are not those of the run. That is
                no candidate's failure, and ends the search.
        """
        start = time.monotonic()
        try:
            if strategy not in self._made:
                self._made[strategy] = self._make(strategy)
                # Starting up is the worker's, not the first candidate's.
                start = time.monotonic()
            evaluation = self._made[strategy](genotype, seed, part)
        except Exception as error:
            if isinstance(error, InvalidInputError) and strategy not in self._made:
                raise
            reason = f"{type(error).__name__}: {error}".splitlines()[0]
            evaluation = Evaluation(top1=0.0, top5=0.0, compile_seconds=0.0, failed=reason)
        return dataclasses.replace(evaluation, seconds=time.monotonic() - start)

    def pid(self) -> int:
        return os.getpid()


_HERE: list[_Evaluator] = []
"""Of a spawned process."""


def _start(make: MakeEvaluate) -> None:
    # Ctrl-C reaches every process of a terminal; what becomes of a training is for the main one to say.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    threading.Thread(target=_end_with_parent, daemon=True).start()
    _HERE.append(_Evaluator(make))


def _end_with_parent() -> None:
    """A main process that was killed tells nobody; its workers would train on and wait for ever."""
    parent = multiprocessing.parent_process()
    if parent is not None:
        parent.join()
        os._exit(1)


def _evaluate_here(strategy: str, genotype: Genotype, seed: int, part: float) -> Evaluation:
    return _HERE[0].evaluate(strategy, genotype, seed, part)
