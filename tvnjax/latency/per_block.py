"""Measured milliseconds of every block of a network."""

from tvnjax.graph import Network
from tvnjax.latency.measure import measure
from tvnjax.latency.runtimes import Runtime
from tvnjax.latency.timer import Timer


def block_milliseconds(network: Network, runtime: Runtime, timer: Timer) -> dict[int, float]:
    """The sum of each block's units, every distinct unit timed by itself on a runtime."""
    distinct = {unit.key: unit for unit in network.units}
    measured = measure({key: runtime.unit(unit) for key, unit in distinct.items()}, timer)
    blocks: dict[int, float] = {}
    for unit in network.units:
        blocks[unit.block] = blocks.get(unit.block, 0.0) + measured[unit.key].latency_ms
    return blocks
