"""XLA on one of JAX's devices, in the forms that are fast there.

On an accelerator a loop whose length only the run knows makes the host read its condition every turn, which no network
does. Chains of units there have their length compiled in, kernels are counted, and the device's clocks are watched.
"""

import functools
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
from tvnjax.nn.child import Child, UnitModule
from tvnjax.nn.convolution import default_form
from tvnjax.nn.parts import Initializer

_MOST_TURNS = 2**20
"""Of a chain; a turn of 1 ns would need as many."""
_SHORT = 2
"""Turns of the short one of two chains of fixed length: XLA leaves no loop of a single turn, and optimises its body
together with what stands around it."""


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
            self.device = jax.devices(device)[0]
        except RuntimeError:
            present = ", ".join(sorted({d.platform for d in jax.devices()}))
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

        The chain is a loop of known body: the inputs of each turn hang on the mean of the turn before, so that no turn,
        and nothing of one, can be skipped or run early. On a CPU its length is free, one program for all; on an
        accelerator it is compiled in, a program for each length.
        """
        graph, state = self._constant(UnitModule(unit, Initializer(0), default_form(self.device.platform)))

        def chain(state: nnx.State, x: tuple[Array, ...], turns: Array | int) -> Array:
            module = nnx.merge(graph, state, copy=True)

            def turn(_: int, x: tuple[Array, ...]) -> tuple[Array, ...]:
                mean = module(*x, train=False).mean()
                return tuple(array + 1e-20 * mean for array in x)

            return jax.lax.fori_loop(0, turns, turn, x)[0][0, 0, 0, 0, 0]

        x = tuple(jax.device_put(jnp.ones((self.batch, *shape)), self.device) for shape in unit.in_shapes)
        if self.accelerator:
            return self._fixed_chains(chain, state, x)
        start = time.monotonic()
        compiled = jax.jit(chain).lower(state, x, jnp.int32(1)).compile(self._options)
        compile_seconds = time.monotonic() - start
        turns = chain_turns(lambda count: compiled(state, x, jnp.int32(count)))
        one, more = jnp.int32(1), jnp.int32(1 + turns)
        return Prepared(
            call=lambda: compiled(state, x, one),
            longer=lambda: compiled(state, x, more),
            turns=turns,
            compile_seconds=compile_seconds,
        )

    def _fixed_chains(self, chain: Callable[..., Array], state: nnx.State, x: tuple[Array, ...]) -> Prepared:
        """Two chains whose lengths are compiled in."""
        programs: dict[int, Compiled] = {}
        seconds = 0.0

        def program(turns: int) -> Compiled:
            nonlocal seconds
            if turns not in programs:
                start = time.monotonic()
                fixed = jax.jit(functools.partial(chain, turns=turns))
                programs[turns] = fixed.lower(state, x).compile(self._options)
                seconds += time.monotonic() - start
            return programs[turns]

        turns = chain_turns(lambda count: program(count)(state, x), short=_SHORT, first=32, growth=8)
        short, long = program(_SHORT), program(_SHORT + turns)
        return Prepared(
            call=lambda: short(state, x),
            longer=lambda: long(state, x),
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


def chain_turns(
    run: Callable[[int], Any],
    clock: Callable[[], float] = time.perf_counter,
    *,
    short: int = 1,
    first: int = 8,
    growth: int = 2,
) -> int:
    """Turns of a chain, besides the short one's, that neither the clock's grain nor the cost of a call counts in.

    About 4 ms, or 200 turns where they take at least 1 ms: the smallest units take 50 ns a turn, and 200 of those
    are lost in what two calls differ by on a busy machine.

    Args:
        run: runs a chain of as many turns; what it returns is waited for.
        clock: seconds.
        short: turns of the short chain.
        first: turns more that are tried first.
        growth: times as many are tried next; where each number is a program of its own, fewer are tried.
    """

    def fastest(count: int) -> float:
        seconds = []
        for _ in range(3):
            start = clock()
            jax.block_until_ready(run(count))
            seconds.append(clock() - start)
        return min(seconds)

    jax.block_until_ready(run(short))
    call, turns = fastest(short), first
    while (more := fastest(short + turns) - call) < 1e-3 and turns < _MOST_TURNS:
        turns *= growth
    turn = max(more, 1e-9) / turns
    return int(min(max(min(4e-3 / turn, 200), 1e-3 / turn, 6), _MOST_TURNS))
