"""Workers that train candidates: processes of this machine, or actors of Ray.

Each works on one job at a time, on a device of its own where there are several (``search.devices``).
"""

import concurrent.futures
import dataclasses
import multiprocessing
import os
import signal
import threading
import time
import warnings
from collections.abc import Callable
from concurrent.futures.process import BrokenProcessPool
from typing import Any, Literal, Protocol

from tvnjax.core.errors import InvalidInputError
from tvnjax.core.literals import check_literals
from tvnjax.core.monitor import Monitor
from tvnjax.search.base import Evaluation
from tvnjax.search.devices import WorkerDevices
from tvnjax.spaces.base import Genotype

Evaluate = Callable[[Genotype, int, float], Evaluation]
MakeEvaluate = Callable[[str], Evaluate]
"""Makes what evaluates the candidates of one strategy; called on the worker, so it can be pickled."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class Workers:
    """Where candidates are trained."""

    engine: Literal["none", "pool", "ray"] = "none"
    """``none``: in this process. ``pool``: processes of this machine. ``ray``: actors of a Ray cluster (extra
    ``ray``)."""
    count: int = 1
    address: str | None = None
    """Of a Ray cluster that is there, e.g. ``auto``. Default: one of this machine's own."""
    gpus: float = 0.0
    """GPUs that a Ray worker asks for; parts of one are shared. Processes of this machine take theirs by number."""

    def __post_init__(self) -> None:
        check_literals(self, "workers.")
        if self.count < 1:
            raise InvalidInputError(f"workers.count is at least 1; got {self.count}")
        if self.engine == "none" and self.count > 1:
            raise InvalidInputError(
                f"several workers need an engine; got workers.count {self.count} with engine none: give "
                "--workers.engine pool or ray"
            )
        if self.address is not None and self.engine != "ray":
            raise InvalidInputError(f"workers.address is a Ray cluster's; got it with engine {self.engine}")
        if not 0 <= self.gpus <= 64 or (self.gpus and self.engine != "ray"):
            raise InvalidInputError(
                f"workers.gpus is what a Ray worker asks for, from 0 to 64; got {self.gpus:g} with engine "
                f"{self.engine}: give --workers.engine ray, or leave it out"
            )


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

    def __init__(self, make: MakeEvaluate, count: int, devices: WorkerDevices | None = None):
        self.count, self._make, self._devices = count, make, devices
        self._executors = [self._new(worker) for worker in range(count)]
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
            self._executors[worker] = self._new(worker)
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
            self._executors[worker] = self._new(worker)
            return worker, Lost("its worker process died, as it does when memory runs out")

    def close(self) -> None:
        """Ends the processes, a training that is under way included: what is wanted of it has been waited for."""
        for executor in self._executors:
            for process in list((executor._processes or {}).values()):
                process.terminate()
            executor.shutdown(wait=False, cancel_futures=True)

    def _new(self, worker: int) -> concurrent.futures.ProcessPoolExecutor:
        # Spawned, not forked: a forked copy of a process that holds XLA's threads hangs.
        context = multiprocessing.get_context("spawn")
        arguments = (self._make, self._devices, worker)
        return concurrent.futures.ProcessPoolExecutor(1, context, initializer=_start, initargs=arguments)


class RayPool:
    """Actors of a Ray cluster: a local one, or one that is there.

    Args:
        gpus: that each actor asks for.
        devices: what kind they have to be.

    Raises:
        InvalidInputError: Ray is not installed, or its cluster has fewer GPUs than are asked for.
    """

    def __init__(
        self,
        make: MakeEvaluate,
        count: int,
        address: str | None = None,
        *,
        gpus: float = 0.0,
        devices: WorkerDevices | None = None,
    ):
        ray = _import_ray()
        self._ray, self.count, self._make, self._devices = ray, count, make, devices
        self._began = not ray.is_initialized()
        if self._began:
            options: dict[str, Any] = {"include_dashboard": False, "log_to_driver": False}
            # A local cluster has as many slots as workers were asked for, however few cores there are.
            options |= {"address": address} if address else {"num_cpus": count}
            # From another thread: in the main one Ray takes SIGTERM for itself, and ends the process without a last
            # checkpoint. Ray's processes end with the thread that began them, which therefore stays.
            self._starter = concurrent.futures.ThreadPoolExecutor(1)
            self._starter.submit(ray.init, **options).result()
        self._check_gpus(gpus)
        # Without a GPU asked for, Ray hides all of them from an actor.
        self._actor = ray.remote(**{"num_cpus": 1} | ({"num_gpus": gpus} if gpus else {}))(_Evaluator)
        self._actors = [self._actor.remote(make, devices, worker) for worker in range(count)]
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
            self._actors[worker] = self._actor.remote(self._make, self._devices, worker)
            return worker, Lost(f"its Ray worker died: {str(error).splitlines()[0]}")
        except self._ray.exceptions.RayTaskError as error:
            # Ray's text is a traceback of the worker; a refusal is one line.
            cause = getattr(error, "cause", None)
            raise cause if isinstance(cause, InvalidInputError) else error from None

    def _check_gpus(self, gpus: float) -> None:
        """Actors that ask for more than there is would wait for ever."""
        there = float(self._ray.cluster_resources().get("GPU", 0.0))
        if gpus * self.count > there:
            self._end()
            raise InvalidInputError(
                f"workers ask for no more GPUs than Ray's cluster has; {self.count} workers with {gpus:g} each ask for "
                f"{gpus * self.count:g} of {there:g}: give fewer --workers.count, or a part as --workers.gpus"
            )

    def pids(self) -> list[int]:
        """Of the actors' processes."""
        return self._ray.get([actor.pid.remote() for actor in self._actors])

    def close(self) -> None:
        for actor in self._actors:
            self._ray.kill(actor)
        self._end()

    def _end(self) -> None:
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


def make_pool(workers: Workers, make: MakeEvaluate, monitor: Monitor) -> Pool | None:
    """The workers asked for; ``None`` for this process alone.

    Args:
        monitor: hears which devices they have.
    """
    if workers.engine == "none":
        return None
    devices = WorkerDevices.here(workers.count, by_ray=workers.engine == "ray")
    for remark in devices.remarks():
        warnings.warn(remark, stacklevel=2)
    monitor.event("workers", engine=workers.engine, gpus=workers.gpus, **dataclasses.asdict(devices))
    if workers.engine == "pool":
        return SpawnPool(make, workers.count, devices)
    return RayPool(make, workers.count, workers.address, gpus=workers.gpus, devices=devices)


class _Evaluator:
    """What a worker does: makes an evaluator for each strategy, and turns what breaks into a reason."""

    def __init__(self, make: MakeEvaluate, devices: WorkerDevices | None = None, worker: int = 0):
        self._make, self._devices, self._worker = make, devices, worker
        self._made: dict[str, Evaluate] = {}

    def evaluate(self, strategy: str, genotype: Genotype, seed: int, part: float) -> Evaluation:
        """Trains a candidate.

        Raises:
            InvalidInputError: this worker cannot train any, such as one whose clips, or whose device, are not those of
                the run. That is no candidate's failure, and ends the search.
        """
        start = time.monotonic()
        if not self._made and self._devices is not None:
            self._devices.begin(self._worker)
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


def _start(make: MakeEvaluate, devices: WorkerDevices | None, worker: int) -> None:
    # Ctrl-C reaches every process of a terminal; what becomes of a training is for the main one to say.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    threading.Thread(target=_end_with_parent, daemon=True).start()
    _HERE.append(_Evaluator(make, devices, worker))


def _end_with_parent() -> None:
    """A main process that was killed tells nobody; its workers would train on and wait for ever."""
    parent = multiprocessing.parent_process()
    if parent is not None:
        parent.join()
        os._exit(1)


def _evaluate_here(strategy: str, genotype: Genotype, seed: int, part: float) -> Evaluation:
    return _HERE[0].evaluate(strategy, genotype, seed, part)
