"""XLA on one of JAX's devices, in the forms that are fast there."""

import importlib.metadata
import os
import time
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
from flax import nnx
from jax import Array

from tvnjax.core.errors import InvalidInputError
from tvnjax.graph import Network, Unit
from tvnjax.latency.runtimes import Prepared
from tvnjax.nn.child import Child, UnitModule
from tvnjax.nn.convolution import default_form
from tvnjax.nn.parts import Initializer

_MOST_TURNS = 2**20
"""Of a chain; a turn of 1 ns would need as many."""


class Xla:
    """See ``Runtime``; arguments as of ``load_runtime``. On a CPU its threads are the cores of the process."""

    def __init__(self, threads: int | None = None, device: str | None = None):
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
        self._threads = threads or cores
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
        }

    def network(self, network: Network) -> Prepared:
        graph, state = self._constant(Child(network, form=default_form(self.device.platform)))

        def forward(state: nnx.State, *streams: Array) -> Array:
            return nnx.merge(graph, state, copy=True)(streams)

        streams = [jax.device_put(jnp.zeros((1, *shape)), self.device) for shape in network.input_shapes]
        start = time.monotonic()
        compiled = jax.jit(forward).lower(state, *streams).compile(self._options)
        seconds, memory = time.monotonic() - start, compiled.memory_analysis()
        parts = ("argument_size_in_bytes", "output_size_in_bytes", "temp_size_in_bytes")
        allocated = sum(getattr(memory, part) for part in parts) / 2**20 if memory is not None else None
        return Prepared(call=lambda: compiled(state, *streams), compile_seconds=seconds, allocated_mb=allocated)

    def unit(self, unit: Unit) -> Prepared:
        """A short and a long chain of one fused unit, whose difference is the unit without the cost of a call.

        The chain is a loop of known body and free length: the inputs of each turn hang on the mean of the turn before,
        so that no turn, and nothing of one, can be skipped or run early.
        """
        graph, state = self._constant(UnitModule(unit, Initializer(0), default_form(self.device.platform)))

        def chain(state: nnx.State, x: tuple[Array, ...], turns: Array) -> Array:
            module = nnx.merge(graph, state, copy=True)

            def turn(_: int, x: tuple[Array, ...]) -> tuple[Array, ...]:
                mean = module(*x, train=False).mean()
                return tuple(array + 1e-20 * mean for array in x)

            return jax.lax.fori_loop(0, turns, turn, x)[0][0, 0, 0, 0, 0]

        x = tuple(jax.device_put(jnp.ones((1, *shape)), self.device) for shape in unit.in_shapes)
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

    def _constant(self, module: nnx.Module) -> tuple[nnx.GraphDef, nnx.State]:
        graph, state = nnx.split(module)
        filled = jax.tree.map(lambda leaf: jnp.full(leaf.shape, 0.01, leaf.dtype), state)
        return graph, jax.device_put(filled, self.device)


def process_cores() -> int:
    """Cores this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def chain_turns(run: Callable[[int], Any], clock: Callable[[], float] = time.perf_counter) -> int:
    """Turns of a chain that neither the clock's grain nor the cost of a call counts in.

    About 4 ms, or 200 turns where they take at least 1 ms: the smallest units take 50 ns a turn, and 200 of those
    are lost in what two calls differ by on a busy machine.

    Args:
        run: runs a chain of as many turns; what it returns is waited for.
        clock: seconds.
    """

    def fastest(count: int) -> float:
        seconds = []
        for _ in range(3):
            start = clock()
            jax.block_until_ready(run(count))
            seconds.append(clock() - start)
        return min(seconds)

    jax.block_until_ready(run(1))
    call, turns = fastest(1), 8
    while (more := fastest(1 + turns) - call) < 1e-3 and turns < _MOST_TURNS:
        turns *= 2
    turn = max(more, 1e-9) / turns
    return int(min(max(min(4e-3 / turn, 200), 1e-3 / turn, 6), _MOST_TURNS))
