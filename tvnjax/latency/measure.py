"""Compiled latency of networks and units on a runtime.

The latency of a network here is: one clip (or a batch of them, where the runtime is told so), float32, evaluation mode,
pixels already normalised and on the device; the fastest of the timer's calls of the compiled program, each waited for.
With a ``ReferenceNetwork`` it is compared with a reference network's in the same turns: a clock that runs slower, or a
machine that is busy all the while, then cancels.
"""

import dataclasses
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from tvnjax.core.errors import InvalidInputError
from tvnjax.core.memory import free_bytes
from tvnjax.graph import Network
from tvnjax.latency.clocks import Watch
from tvnjax.latency.memory import memory_mb
from tvnjax.latency.runtimes import Prepared, Runtime
from tvnjax.latency.timer import Timer, Timing


def latency_rule(batch: int = 1) -> str:
    """What a latency is, in words, for so many clips a call."""
    return (
        f"{clips_a_call(batch)}, float32, evaluation mode, normalised pixels already on the device; the fastest of "
        "repeated calls of the compiled network, each waited for, over the fastest call of a reference network in the "
        "same turns, times what that took when the device was profiled; medians and quartiles beside it are those of "
        "the clock"
    )


def clips_a_call(batch: int) -> str:
    """``one clip``, or how many clips a call takes and whose latency it is."""
    return "one clip" if batch == 1 else f"a call of {batch} clips together"


def clips_per_second(latency_ms: float, batch: int) -> float:
    """Throughput of calls of ``batch`` clips, one after the other."""
    return 1e3 * batch / latency_ms


_REFERENCE = "the reference network"


@dataclasses.dataclass(frozen=True, kw_only=True)
class Measurement:
    """A latency, the spread of the calls it was taken from, and what it cost to get it."""

    latency_ms: float
    """Of the fastest call, in the conditions of the profile."""
    median_ms: float
    """As it was on the clock, whatever else the machine did."""
    iqr_ms: float
    repeats: int
    compile_seconds: float
    outliers: int = 0
    """Samples far outside the quartiles, see ``Timing``."""
    drift: float = 1.0
    """How much longer the reference network took meanwhile than when the device was profiled; divided out."""


class DriftError(InvalidInputError):
    """The machine was too busy to measure on: the reference network's latency did not stay what it was, or a longer
    chain of a unit took no longer than a short one."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class ReferenceNetwork:
    """A reference network whose latency is known, timed in turns with what is measured."""

    call: Callable[[], Any]
    reference_ms: float
    """What it took when the device was profiled."""


def measure(
    prepared: Mapping[Any, Prepared], timer: Timer, reference: ReferenceNetwork | None = None
) -> dict[Any, Measurement]:
    """Times everything in turns, so that a slow moment of the machine meets all alike.

    With a reference network latencies are parts of its own, so that those of different hours can be compared.

    Raises:
        DriftError: during each of ``timer.attempts`` attempts the reference network, where there is one, changed its
            latency by more than ``timer.steady``, or a longer chain of a unit took no longer than the short one: a
            latency is above 0.
    """
    calls: dict[Any, Callable[[], Any]] = {}
    if reference is not None:
        calls[_REFERENCE] = reference.call
    for key, item in prepared.items():
        calls[key, "call"] = item.call
        if item.longer is not None:
            calls[key, "longer"] = item.longer
    watch = next((item.watch for item in prepared.values() if item.watch is not None), None)
    times = _steady_times(calls, [key for key, item in prepared.items() if item.longer is not None], timer, watch)
    drift = 1.0 if reference is None else times[_REFERENCE].fastest_ms / reference.reference_ms
    measured = {}
    for key, item in prepared.items():
        timing = times[key, "call"]
        fastest_ms = timing.fastest_ms
        if item.longer is not None:
            longer = times[key, "longer"]
            fastest_ms = (longer.fastest_ms - fastest_ms) / item.turns
            pairs = zip(timing.samples_ms, longer.samples_ms)
            timing = Timing(samples_ms=tuple(max(b - a, 0.0) / item.turns for a, b in pairs))
        measured[key] = Measurement(
            latency_ms=fastest_ms / drift,
            median_ms=timing.median_ms,
            iqr_ms=timing.iqr_ms,
            repeats=len(timing.samples_ms),
            compile_seconds=item.compile_seconds,
            outliers=timing.outliers,
            drift=drift,
        )
    return measured


def _steady_times(
    calls: Mapping[Any, Callable[[], Any]], chains: Sequence[Any], timer: Timer, watch: Watch | None
) -> dict[Any, Timing]:
    """Times of an attempt that nothing disturbed; ``chains`` are the keys with a longer call."""
    seen = []
    for _ in range(timer.attempts):
        times = timer.interleave(calls, watch)
        drift = times[_REFERENCE].drift if _REFERENCE in times else 1.0
        lost = sum(times[key, "longer"].fastest_ms <= times[key, "call"].fastest_ms for key in chains)
        if drift <= timer.steady and not lost:
            return times
        seen.append(f"{drift:.2f}" + (f" (and {lost} of {len(chains)} longer chains took no longer)" if lost else ""))
    raise DriftError(
        f"while something is timed the reference network's latency stays within a factor of {timer.steady:g}, and a "
        f"longer chain of a unit takes longer; it changed by {', '.join(seen)} in {timer.attempts} attempts: stop "
        "what else runs on this machine and try again"
    )


def measure_network(
    network: Network, runtime: Runtime, timer: Timer, reference: ReferenceNetwork | None = None
) -> Measurement:
    """Compiles a network and times one forward pass of the runtime's batch."""
    return measure({"network": runtime.network(network)}, timer, reference)["network"]


def measure_networks(networks: Mapping[str, Network], runtime: Runtime, timer: Timer) -> list[dict[str, Any]]:
    """Times networks in turns, and counts them.

    Returns:
        A row for each: name, latency_ms (of a call), median_ms, iqr_ms, repeats, outliers, compile_seconds,
        clips_per_s, allocated_mb (of the compiled program, where the runtime tells), kernels (likewise, of
        accelerators), memory_mb (counted, of the batch), params, macs (of a clip), and the clips: batch, num_frames,
        image_size, dtype.

    Raises:
        InvalidInputError: a network needs more memory than there is.
    """
    batch = runtime.description["batch"]
    for name, network in networks.items():
        check_memory(name, network, batch)
    prepared = {name: runtime.network(network) for name, network in networks.items()}
    rows = []
    for name, measured in measure(prepared, timer).items():
        network, values = networks[name], dataclasses.asdict(measured)
        del values["drift"]
        shape = network.input_shape
        rate = {"clips_per_s": clips_per_second(measured.latency_ms, batch)}
        compiled = {"allocated_mb": prepared[name].allocated_mb}
        if prepared[name].kernels is not None:
            compiled["kernels"] = prepared[name].kernels
        counted = {"memory_mb": memory_mb(network, batch), "params": network.params, "macs": network.macs}
        clip = {"batch": batch, "num_frames": shape.t, "image_size": shape.h, "dtype": "float32"}
        rows.append({"name": name, **values, **rate, **compiled, **counted, **clip})
    return rows


def check_memory(name: str, network: Network, batch: int = 1) -> None:
    """Refuses a network whose weights and largest layer alone are more than the machine has free.

    Args:
        name: for the message.
        network: which.
        batch: clips a call.

    Raises:
        InvalidInputError: it is too large.
    """
    needed, free = memory_mb(network, batch), _free_mb()
    if free is not None and needed > free:
        raise InvalidInputError(
            f"a network fits the memory that is free, {free:,.0f} MiB here; {name} needs at least {needed:,.0f} MiB: "
            "give it fewer frames, a smaller image or fewer "
            "filters" + (f", or fewer than {batch} clips a call" if batch > 1 else "")
        )


def _free_mb() -> float | None:
    free = free_bytes()
    return None if free is None else free / 2**20


def make_reference(
    network: Network, anchor: Network, anchor_ms: float, runtime: Runtime, timer: Timer
) -> ReferenceNetwork:
    """A reference network whose own latency is measured in turns with a network of known latency.

    Args:
        network: the reference network.
        anchor: the network whose latency is known; what a reference network corrects is to its conditions.
        anchor_ms: its milliseconds.
        runtime: of both.
        timer: times both.
    """
    prepared = {"network": runtime.network(network), "anchor": runtime.network(anchor)}
    known = ReferenceNetwork(call=prepared["anchor"].call, reference_ms=anchor_ms)
    reference_ms = measure({"network": prepared["network"]}, timer, known)["network"].latency_ms
    return ReferenceNetwork(call=prepared["network"].call, reference_ms=reference_ms)
