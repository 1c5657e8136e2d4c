"""Which device each worker trains on: one of its own, of the kind the run has, beside the one that proposals are timed
on."""

import dataclasses
import os
from typing import Literal

import jax

from tvnjax.core.errors import InvalidInputError

_SHARED = 0.9
"""Part of a device's memory for the workers that share it; the rest is the driver's."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class WorkerDevices:
    """The devices of a run, as its workers are told of them.

    Args:
        platform: cpu, gpu or tpu, of the run's first device.
        kind: its name.
        count: devices of that kind on the run's machine.
        workers: how many there are.
        assigned: by whom: this class takes one by its number for a process of this machine, while Ray gives its actors
            GPUs itself.
    """

    platform: str
    kind: str
    count: int
    workers: int
    assigned: Literal["number", "ray"] = "number"

    @classmethod
    def here(cls, workers: int, *, by_ray: bool = False) -> "WorkerDevices":
        """Those of this process."""
        first = jax.local_devices()[0]
        count = jax.local_device_count()
        assigned = "ray" if by_ray else "number"
        return cls(platform=first.platform, kind=first.device_kind, count=count, workers=workers, assigned=assigned)

    def index(self, worker: int) -> int:
        """The device of a worker. The first one is the last to be taken: proposals are timed on it."""
        return (worker + 1) % self.count

    def sharing(self, worker: int) -> int:
        """How many workers have a worker's device."""
        return sum(self.index(other) == self.index(worker) for other in range(self.workers))

    def remarks(self) -> list[str]:
        """What a person should know: that devices are shared, and with what."""
        if self.assigned == "ray" or self.platform == "cpu":
            return []
        said = []
        if self.workers > max(self.count - 1, 1):
            said.append(
                f"{self.workers} workers share {self.count} {self.platform} device(s); give as many workers as "
                "devices, less one that proposals are timed on"
            )
        if self.workers >= self.count:
            said.append(
                "proposals are timed on a device that a worker trains on, which makes latencies longer: give "
                f"--workers.count {max(self.count - 1, 1)}"
            )
        return said

    def environment(self, worker: int) -> dict[str, str]:
        """Variables of a worker's process, to be set before JAX looks for devices: it sees its own device alone, and
        takes its part of the memory."""
        if self.assigned == "ray" or self.platform != "gpu":
            return {}
        visible = os.environ.get("CUDA_VISIBLE_DEVICES")
        names = visible.split(",") if visible else [str(number) for number in range(self.count)]
        part = _SHARED / (self.sharing(worker) + (self.index(worker) == 0))
        return {
            "CUDA_VISIBLE_DEVICES": names[self.index(worker)],
            "XLA_PYTHON_CLIENT_MEM_FRACTION": os.environ.get("XLA_PYTHON_CLIENT_MEM_FRACTION", f"{part:.2f}"),
        }

    def begin(self, worker: int) -> None:
        """Gives this process the device of a worker.

        Raises:
            InvalidInputError: it has none of the run's kind.
        """
        os.environ.update(self.environment(worker))
        devices = jax.local_devices()
        if (devices[0].platform, devices[0].device_kind) != (self.platform, self.kind):
            hint = "give --workers.gpus 1" if self.assigned == "ray" else "give its process the run's devices"
            raise InvalidInputError(
                f"candidates train on the kind of device their run has, {self.platform} {self.kind}; worker {worker} "
                f"has {devices[0].platform} {devices[0].device_kind}: {hint}"
            )
        if self.assigned == "number" and len(devices) > 1:
            jax.config.update("jax_default_device", devices[self.index(worker) % len(devices)])
