"""A planted accelerator: a clock that only it advances, and latencies of kernels and multiply-adds alone."""

import functools
from typing import Any

from tvnjax.graph import Network, Unit
from tvnjax.latency.clocks import Clocks, Watch
from tvnjax.latency.kernels import KERNEL_RULE
from tvnjax.latency.runtimes import Prepared

KERNEL_MS, GIGAMAC_MS = 0.004, 0.05
"""Milliseconds of a kernel, and of 10^9 multiply-adds: what a small network takes is its kernels."""
CHAIN_KERNELS = 4
"""Of a turn of a chain, apart from the unit's."""


class Clock:
    """Advances only when told to."""

    def __init__(self):
        self.now = 0.0

    def __call__(self):
        return self.now


def layer_kernels(layer) -> int:
    """One to three by kind, and one more with strides, or with channels that are no multiple of 8."""
    return sum(
        1
        + len(type(leaf).__name__) % 3
        + (max(leaf.cost.stride) > 1)
        + any(shape.c % 8 for shape in (*leaf.in_shapes, leaf.out_shape))
        for leaf in layer.leaves
    )


def unit_kernels(unit: Unit) -> int:
    """Inside of a network, with one of its own."""
    return 1 + sum(layer_kernels(layer) for layer in unit.all_layers)


def kernels_of(what: Unit | Network) -> int:
    """As they are counted: a unit's in its chain, which transposes no weights (one kernel a layer less) and has some of
    its own; a network's with three of the head."""
    if isinstance(what, Network):
        return 3 + sum(map(unit_kernels, what.units))
    return unit_kernels(what) - len(what.all_layers) + CHAIN_KERNELS


def milliseconds(what: Unit | Network, batch: int = 1) -> float:
    return KERNEL_MS * kernels_of(what) + GIGAMAC_MS * batch * what.macs / 1e9


class PlantedAccelerator:
    """See ``Runtime``; ``watch`` reads a clock that stays."""

    def __init__(self, batch: int = 1):
        self.batch, self.clock = batch, Clock()
        self.watch = Watch(lambda: Clocks(sm_mhz=1980.0, max_sm_mhz=1980.0, pstate="P0", slowed_by=()))
        self.calls = 0

    @property
    def description(self) -> dict[str, Any]:
        about = {"runtime": "planted", "runtime_version": "1", "backend": "gpu", "device": "planted", "threads": 1}
        return {**about, "batch": self.batch, "kernels": KERNEL_RULE}

    @property
    def conditions(self) -> dict[str, Any]:
        return self.watch.record

    def network(self, network: Network) -> Prepared:
        ms = milliseconds(network, self.batch)
        return Prepared(call=functools.partial(self._run, 0.02 + ms), kernels=kernels_of(network), watch=self.watch)

    def unit(self, unit: Unit) -> Prepared:
        ms, turns = milliseconds(unit, self.batch), 50
        return Prepared(
            call=functools.partial(self._run, 0.05),
            longer=functools.partial(self._run, 0.05 + turns * ms),
            turns=turns,
            kernels=kernels_of(unit),
            watch=self.watch,
        )

    def _run(self, ms: float) -> None:
        self.calls += 1
        self.clock.now += ms / 1e3
