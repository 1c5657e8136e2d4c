"""Compiled latency of networks and units on the current device.

The latency of a network here is: one clip, float32, evaluation mode, weights as arguments, pixels already normalised
and on the device; the median over the timer's repeats of one call of the compiled program, waited for. With a
``Sentinel`` every call is compared with one of a reference network in the same turn: what the machine is busy with then
cancels.
"""

import dataclasses
import statistics
import time
from collections.abc import Callable, Mapping
from typing import Any

import jax
import jax.numpy as jnp
from flax import nnx
from jax import Array

from tvnjax.latency.timer import Timer, Timing
from tvnjax.nn.child import Child, UnitModule
from tvnjax.nn.convolution import default_form
from tvnjax.nn.layers import Initializer
from tvnjax.space.network import Network, Unit

LATENCY_RULE = (
    "one clip, float32, evaluation mode, normalised pixels already on the device; median of repeated calls of the "
    "compiled network, each waited for, and each as a part of what a reference network takes in the same turn, times "
    "what that took when the device was profiled"
)


_SENTINEL = "the sentinel"


@dataclasses.dataclass(frozen=True, kw_only=True)
class Measurement:
    """A median with its spread, and what it cost to get it."""

    median_ms: float
    iqr_ms: float
    repeats: int
    compile_seconds: float
    drift: float = 1.0
    """How much longer the reference network took meanwhile than when the device was profiled; divided out."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class Prepared:
    """Something compiled and ready to be timed: the call, and for a slope a longer call of ``turns`` more turns."""

    call: Callable[[], Array]
    longer: Callable[[], Array] | None = None
    turns: int = 1
    compile_seconds: float = 0.0


@dataclasses.dataclass(frozen=True, kw_only=True)
class Sentinel:
    """A reference network whose latency is known, timed in turns with what is measured."""

    call: Callable[[], Array]
    reference_ms: float
    """What it took when the device was profiled."""


def measure(prepared: Mapping[Any, Prepared], timer: Timer, sentinel: Sentinel | None = None) -> dict[Any, Measurement]:
    """Times everything in turns, so that a slow moment of the machine meets all alike.

    On a shared machine the same network takes 20 % longer a minute later. With a sentinel each sample is a part of the
    sentinel's in the same turn, so that medians of different minutes can be compared.
    """
    calls: dict[Any, Callable[[], Array]] = {}
    if sentinel is not None:
        calls[_SENTINEL] = sentinel.call
    for key, item in prepared.items():
        calls[key, "call"] = item.call
        if item.longer is not None:
            calls[key, "longer"] = item.longer
    times = timer.interleave(calls)
    drifts = [1.0] * timer.repeats
    if sentinel is not None:
        drifts = [sample / sentinel.reference_ms for sample in times[_SENTINEL].samples_ms]
    measured = {}
    for key, item in prepared.items():
        samples = times[key, "call"].samples_ms
        if item.longer is not None:
            longer = times[key, "longer"].samples_ms
            samples = tuple(max(b - a, 0.0) / item.turns for a, b in zip(samples, longer))
        timing = Timing(samples_ms=tuple(sample / drift for sample, drift in zip(samples, drifts)))
        measured[key] = Measurement(
            median_ms=timing.median_ms,
            iqr_ms=timing.iqr_ms,
            repeats=len(samples),
            compile_seconds=item.compile_seconds,
            drift=statistics.median(drifts),
        )
    return measured


def measure_network(network: Network, timer: Timer, sentinel: Sentinel | None = None) -> Measurement:
    """Compiles a network and times one forward pass of one clip."""
    return measure({"network": prepare_network(network)}, timer, sentinel)["network"]


def make_sentinel(network: Network, anchor: Network, anchor_ms: float, timer: Timer) -> Sentinel:
    """A sentinel whose reference is measured in turns with a network of known latency.

    Args:
        network: the sentinel.
        anchor: the network whose latency is known; what a sentinel corrects is to its conditions.
        anchor_ms: its milliseconds.
        timer: times both.
    """
    prepared = {"network": prepare_network(network), "anchor": prepare_network(anchor)}
    known = Sentinel(call=prepared["anchor"].call, reference_ms=anchor_ms)
    reference_ms = measure({"network": prepared["network"]}, timer, known)["network"].median_ms
    return Sentinel(call=prepared["network"].call, reference_ms=reference_ms)


def prepare_network(network: Network) -> Prepared:
    """A compiled forward pass of one clip."""
    graph, state = _constant(Child(network))

    def forward(state: nnx.State, clip: Array) -> Array:
        return nnx.merge(graph, state, copy=True)(clip)

    clip = jnp.zeros((1, *network.input_shape))
    start = time.monotonic()
    compiled = jax.jit(forward).lower(state, clip).compile()
    return Prepared(call=lambda: compiled(state, clip), compile_seconds=time.monotonic() - start)


def prepare_unit(unit: Unit) -> Prepared:
    """A short and a long chain of one fused unit, whose difference is the unit without the cost of a call.

    The chain is a loop of known body and free length: the input of each turn hangs on the mean of the turn before, so
    that no turn can be skipped or run early.
    """
    graph, state = _constant(UnitModule(unit, Initializer(0), default_form()))

    def chain(state: nnx.State, x: Array, turns: Array) -> Array:
        module = nnx.merge(graph, state, copy=True)

        def turn(_: int, x: Array) -> Array:
            return x + 1e-20 * module(x, train=False).mean()

        return jax.lax.fori_loop(0, turns, turn, x)[0, 0, 0, 0, 0]

    x = jnp.ones((1, *unit.in_shape))
    start = time.monotonic()
    compiled = jax.jit(chain).lower(state, x, jnp.int32(1)).compile()
    compile_seconds = time.monotonic() - start
    turns = _turns(lambda count: compiled(state, x, jnp.int32(count)))
    one, more = jnp.int32(1), jnp.int32(1 + turns)
    return Prepared(
        call=lambda: compiled(state, x, one),
        longer=lambda: compiled(state, x, more),
        turns=turns,
        compile_seconds=compile_seconds,
    )


def _turns(run: Callable[[int], Array]) -> int:
    """Enough turns for a chain of about 4 ms, so that neither the clock's grain nor the cost of a call counts."""
    jax.block_until_ready(run(2))
    seconds = []
    for _ in range(3):
        start = time.perf_counter()
        jax.block_until_ready(run(8))
        seconds.append((time.perf_counter() - start) / 8)
    return int(min(max(4e-3 / min(seconds), 6), 200))


def _constant(module: nnx.Module) -> tuple[nnx.GraphDef, nnx.State]:
    """Graph and weights of a module. Weights are constants: what they are does not change how long they take."""
    graph, state = nnx.split(module)
    return graph, jax.tree.map(lambda leaf: jnp.full(leaf.shape, 0.01, leaf.dtype), state)
