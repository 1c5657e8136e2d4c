"""Every worker has a device of its own where there are several, of the kind its run has."""

import dataclasses
import os

import jax
import numpy as np
import pytest

from tests.search.toy_landscape import toy_task
from tvnjax.core.errors import InvalidInputError
from tvnjax.search.base import Evaluation
from tvnjax.search.devices import WorkerDevices
from tvnjax.search.pools import RayPool, SpawnPool, Workers


def gpus(count, workers, **changes):
    return WorkerDevices(platform="gpu", kind="NVIDIA H200", count=count, workers=workers, **changes)


@pytest.mark.parametrize(("count", "workers"), [(1, 1), (1, 3), (2, 1), (4, 3), (4, 4), (4, 9)])
def test_workers_are_spread_and_the_first_device_is_taken_last(count, workers):
    devices = gpus(count, workers)
    taken = [devices.index(worker) for worker in range(workers)]
    assert max(map(taken.count, taken)) - min(map(taken.count, taken)) <= 1
    assert (0 in taken) == (workers >= count)
    assert [devices.sharing(worker) for worker in range(workers)] == [taken.count(index) for index in taken]


def test_a_gpu_worker_sees_its_device_alone_and_takes_its_part_of_the_memory(monkeypatch):
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
    monkeypatch.delenv("XLA_PYTHON_CLIENT_MEM_FRACTION", raising=False)
    assert gpus(4, 3).environment(1) == {"CUDA_VISIBLE_DEVICES": "2", "XLA_PYTHON_CLIENT_MEM_FRACTION": "0.90"}
    # Two workers and the run itself on one device.
    assert gpus(1, 2).environment(1)["XLA_PYTHON_CLIENT_MEM_FRACTION"] == "0.30"
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "3,5")
    monkeypatch.setenv("XLA_PYTHON_CLIENT_MEM_FRACTION", "0.2")
    assert gpus(2, 1).environment(0) == {"CUDA_VISIBLE_DEVICES": "5", "XLA_PYTHON_CLIENT_MEM_FRACTION": "0.2"}
    assert gpus(2, 1, assigned="ray").environment(0) == {}
    assert dataclasses.replace(gpus(2, 1), platform="cpu").environment(0) == {}


def test_shared_devices_are_said():
    assert gpus(4, 3).remarks() == [] and gpus(4, 9, assigned="ray").remarks() == []
    (timed,) = gpus(2, 2).remarks()[1:]
    assert "give --workers.count 1" in timed
    assert any("9 workers share 4 gpu device(s)" in remark for remark in gpus(4, 9).remarks())


@pytest.mark.parametrize(("assigned", "hint"), [("ray", "give --workers.gpus 1"), ("number", "the run's devices")])
def test_a_device_of_another_kind_is_refused(assigned, hint):
    with pytest.raises(InvalidInputError, match=f"gpu NVIDIA H200; worker 0 has cpu cpu: .*{hint}"):
        gpus(1, 1, assigned=assigned).begin(0)


@dataclasses.dataclass(frozen=True)
class WhereItRan:
    """Evaluates to the number of the device that an array lies on, and how many GPUs Ray gave."""

    ray: bool = False

    def __call__(self, strategy):
        return self._evaluate

    def _evaluate(self, genotype, seed, part):
        (device,) = jax.numpy.zeros(1).devices()
        given = 0
        if self.ray:
            import ray

            given = len(ray.get_gpu_ids())
        return Evaluation(top1=float(device.id), top5=float(given), compile_seconds=0.0)


def evaluations(pool):
    genotype = toy_task().space.sample(np.random.default_rng(0))
    found = {}
    try:
        for worker in range(pool.count):
            pool.submit(worker, "random", genotype, 0, 1.0)
        for _ in range(pool.count):
            worker, evaluation = pool.wait()
            found[worker] = evaluation
    finally:
        pool.close()
    return found


def test_with_two_devices_each_of_two_workers_uses_its_own(monkeypatch):
    flags = os.environ.get("XLA_FLAGS", "")
    monkeypatch.setenv("XLA_FLAGS", f"{flags} --xla_force_host_platform_device_count=2")
    devices = WorkerDevices(platform="cpu", kind="cpu", count=2, workers=2)
    found = evaluations(SpawnPool(WhereItRan(), 2, devices))
    assert {worker: evaluation.top1 for worker, evaluation in found.items()} == {0: 1.0, 1: 0.0}


def test_a_worker_without_the_run_s_kind_ends_the_search():
    pool = SpawnPool(WhereItRan(), 1, gpus(1, 1))
    with pytest.raises(InvalidInputError, match="worker 0 has cpu cpu"):
        evaluations(pool)


def test_ray_is_asked_for_a_gpu_and_refused_where_it_has_too_few():
    ray = pytest.importorskip("ray")
    here = WorkerDevices.here(1, by_ray=True)
    ray.init(num_cpus=2, num_gpus=1, include_dashboard=False, log_to_driver=False)
    try:
        assert evaluations(RayPool(WhereItRan(ray=True), 1, gpus=1, devices=here))[0].top5 == 1
        with pytest.raises(InvalidInputError, match="2 workers with 1 each ask for 2 of 1: give fewer"):
            RayPool(WhereItRan(), 2, gpus=1)
        assert ray.is_initialized()
    finally:
        ray.shutdown()


def test_gpus_are_asked_of_ray_alone():
    with pytest.raises(InvalidInputError, match=r"what a Ray worker asks for.*got 1 with engine pool"):
        Workers(engine="pool", count=2, gpus=1)
    assert Workers(engine="ray", gpus=0.5).gpus == 0.5
