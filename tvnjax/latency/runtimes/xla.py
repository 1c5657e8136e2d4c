"""XLA on one of JAX's devices, in the forms that are fast there.

On an accelerator a loop whose length only the run knows makes the host read its condition every turn, which no network
does. Chains of units there have their length compiled in, kernels are counted, and the device's clocks are watched.
"""

import importlib.metadata
import os
import time
import warnings
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
from flax import nnx
from jax import Array
from jax.stages import Compiled

from tvnjax.core.errors import InvalidInputError
from tvnjax.graph import Network, Unit
from tvnjax.latency.clocks import Clocks, UnknownClocks, Watch, nvidia_smi
from tvnjax.latency.kernels import KERNEL_RULE, Kernels, count_kernels
from tvnjax.latency.runtimes import Prepared
from tvnjax.latency.runtimes.chains import SHORT, Chain, chain_turns
from tvnjax.nn.child import Child, UnitModule
from tvnjax.nn.convolution import default_form
from tvnjax.nn.parts import Initializer


class Xla:
    """See ``Runtime``; arguments as of ``load_runtime``. On a CPU its threads are the cores of the process.

    Args:
        accelerator: whether units are timed, kernels counted and clocks watched as on an accelerator. Default: on
            every device but a CPU.
    """

    def __init__(
        self, threads: int | None = None, device: str | None = None, batch: int = 1, accelerator: bool | None = None
    ):
        cores = process_cores()
        if threads not in (None, 1, cores):
            raise InvalidInputError(
                f"XLA runs on one thread or on as many as its process has cores, {cores} here; got threads {threads}: "
                f"start the command under 'taskset -c 0-{(threads or 1) - 1}' and leave threads out"
            )
        try:
            self.device = jax.local_devices(backend=device)[0]
        except RuntimeError:
            present = ", ".join(sorted({d.platform for d in jax.local_devices()}))
            raise InvalidInputError(f"a device is one JAX has here ({present}); got {device!r}") from None
        self._threads, self.batch = threads or cores, batch
        self.accelerator = self.device.platform != "cpu" if accelerator is None else accelerator
        self.watch = Watch(_clocks_of(self.device)) if self.accelerator else None
        self._open_loops_told = False
        # One thread is asked of the compiler; what else the process runs, a training say, keeps all its threads.
        alone = self._threads == 1 and self.device.platform == "cpu"
        self._options: dict[str, str | bool] = {"xla_cpu_multi_thread_eigen": False} if alone else {}

    @property
    def description(self) -> dict[str, Any]:
        return {
            "runtime": "xla",
            "runtime_version": importlib.metadata.version("jaxlib"),
            "backend": self.device.platform,
            "device": self.device.device_kind,
            "threads": self._threads,
            "batch": self.batch,
            **({"kernels": KERNEL_RULE} if self.accelerator else {}),
        }

    @property
    def conditions(self) -> dict[str, Any]:
        return {} if self.watch is None else self.watch.record

    def network(self, network: Network) -> Prepared:
        graph, state = self._constant(Child(network, form=default_form(self.device.platform)))

        def forward(state: nnx.State, *streams: Array) -> Array:
            return nnx.merge(graph, state, copy=True)(streams)

        streams = [jax.device_put(jnp.zeros((self.batch, *shape)), self.device) for shape in network.input_shapes]
        start = time.monotonic()
        compiled = jax.jit(forward).lower(state, *streams).compile(self._options)
        seconds, memory = time.monotonic() - start, compiled.memory_analysis()
        parts = ("argument_size_in_bytes", "output_size_in_bytes", "temp_size_in_bytes")
        allocated = sum(getattr(memory, part) for part in parts) / 2**20 if memory is not None else None
        return Prepared(
            call=lambda: compiled(state, *streams),
            compile_seconds=seconds,
            allocated_mb=allocated,
            kernels=self._count(compiled).launched if self.accelerator else None,
            watch=self.watch,
        )

    def unit(self, unit: Unit) -> Prepared:
        """A short and a long chain of one fused unit, whose difference is the unit without the cost of a call.

        On a CPU the length of a chain is free, one program for all; on an accelerator it is compiled in, a program for
        each length.
        """
        chain = self.chain(unit)
        if self.accelerator:
            return self._fixed(chain)
        start = time.monotonic()
        compiled = chain.compile()
        compile_seconds = time.monotonic() - start
        state, x = chain.arguments
        turns = chain_turns(lambda count: compiled(state, x, jnp.int32(count)))
        one, more = jnp.int32(1), jnp.int32(1 + turns)
        return Prepared(
            call=lambda: compiled(state, x, one),
            longer=lambda: compiled(state, x, more),
            turns=turns,
            compile_seconds=compile_seconds,
        )

    def chain(self, unit: Unit) -> Chain:
        """Turns of a unit on the device."""
        module = UnitModule(unit, Initializer(0), default_form(self.device.platform))
        x = tuple(jax.device_put(jnp.ones((self.batch, *shape)), self.device) for shape in unit.in_shapes)
        return Chain(*self._constant(module), x, self._options)

    def _fixed(self, chain: Chain) -> Prepared:
        """Two chains whose lengths are compiled in."""
        programs: dict[int, Compiled] = {}
        seconds = 0.0

        def program(turns: int) -> Compiled:
            nonlocal seconds
            if turns not in programs:
                start = time.monotonic()
                programs[turns] = chain.compile(turns)
                seconds += time.monotonic() - start
            return programs[turns]

        arguments = chain.arguments
        turns = chain_turns(lambda count: program(count)(*arguments), short=SHORT, first=32, growth=8)
        short, long = program(SHORT), program(SHORT + turns)
        return Prepared(
            call=lambda: short(*arguments),
            longer=lambda: long(*arguments),
            turns=turns,
            compile_seconds=seconds,
            kernels=(self._count(long).launched - self._count(short).launched) / turns,
            watch=self.watch,
        )

    def _count(self, compiled: Compiled) -> Kernels:
        """Its kernels; loops of open length are said, once."""
        found = count_kernels(compiled.as_text() or "")
        if found.open_loops and not self._open_loops_told:
            self._open_loops_told = True
            warnings.warn(
                "a network's program has a loop whose turns only the run knows: its kernels count once, and the host "
                "waits for the device every turn; give the loop a fixed length",
                stacklevel=2,
            )
        return found

    def _constant(self, module: nnx.Module) -> tuple[nnx.GraphDef, nnx.State]:
        graph, state = nnx.split(module)
        filled = jax.tree.map(lambda leaf: jnp.full(leaf.shape, 0.01, leaf.dtype), state)
        return graph, jax.device_put(filled, self.device)


def process_cores() -> int:
    """Cores this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def _clocks_of(device: Any) -> Callable[[], Clocks]:
    if device.platform in ("gpu", "cuda"):
        return nvidia_smi(device.local_hardware_id)

    def unknown() -> Clocks:
        raise UnknownClocks(f"a {device.platform} tells none")

    return unknown
