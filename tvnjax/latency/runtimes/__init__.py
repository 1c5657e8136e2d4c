"""Where networks run: one protocol, and how each runtime is found by name."""

import importlib
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Literal, Protocol, get_args

from tvnjax.core.errors import InvalidInputError, did_you_mean
from tvnjax.graph import Network, Unit
from tvnjax.latency.clocks import Watch

RuntimeName = Literal["xla", "litert", "onnxruntime"]
"""``xla``: JAX's own compiler, on its device. ``litert`` (XNNPACK) and ``onnxruntime``: the exported network on CPU,
as it is deployed."""


@dataclass(frozen=True, kw_only=True)
class Prepared:
    """Something compiled and ready to be timed: the call, and for a slope a longer call of ``turns`` more turns."""

    call: Callable[[], Any]
    longer: Callable[[], Any] | None = None
    turns: int = 1
    compile_seconds: float = 0.0
    allocated_mb: float | None = None
    """MiB of arguments, result and temporaries, where the runtime tells."""
    kernels: float | None = None
    """Launched by a call, and of a chain by one turn; counted on accelerators alone."""
    watch: Watch | None = None
    """Of an accelerator: what reads its clocks. It is then warmed up until its calls take equally long."""


class Runtime(Protocol):
    """Compiles networks and units for timing. Weights are random: what they are does not change how long they take."""

    @property
    def description(self) -> dict[str, Any]:
        """For the environment of a measurement: ``runtime``, its version, device and threads, ``batch`` (clips a call),
        and ``kernels`` (the rule they are counted by) where they are."""
        ...

    @property
    def conditions(self) -> dict[str, Any]:
        """Clocks and power of the last measurement, see ``Watch.record``; empty where nothing is watched."""
        ...

    def network(self, network: Network) -> Prepared:
        """A forward pass of a batch of clips."""
        ...

    def unit(self, unit: Unit) -> Prepared:
        """One unit between arrays laid out as they are inside a network."""
        ...


def load_runtime(name: str, threads: int | None = None, device: str | None = None, batch: int = 1) -> Runtime:
    """The runtime of a name.

    Args:
        name: one of ``RuntimeName``.
        threads: that it may use. Default: 1 for LiteRT and ONNX Runtime; the process's cores for XLA.
        device: of XLA: cpu, gpu, cuda, tpu. Default: JAX's first.
        batch: clips a call, of XLA.

    Raises:
        InvalidInputError: there is no such runtime, its package is missing, the device is absent, or the threads or the
            batch cannot be had.
    """
    names = get_args(RuntimeName)
    if name not in names:
        raise InvalidInputError(f"a runtime is one of {', '.join(names)}; got {name!r}{did_you_mean(name, names)}")
    if threads is not None and threads < 1:
        raise InvalidInputError(f"threads is 1 or above; got {threads}")
    if batch < 1:
        raise InvalidInputError(f"the batch of a latency is 1 clip or above; got {batch}")
    module = importlib.import_module(f"tvnjax.latency.runtimes.{name}")
    if name == "xla":
        return module.Xla(threads, device, batch)
    if device not in (None, "cpu"):
        raise InvalidInputError(f"{name} runs on the CPU; got the device {device!r}: leave it out, or choose xla")
    if batch > 1:
        raise InvalidInputError(
            f"{name} runs the exported network, which takes one clip a call; got a batch of {batch}: leave it out, or "
            "choose xla"
        )
    return module.LiteRt(threads or 1) if name == "litert" else module.OnnxRuntime(threads or 1)
