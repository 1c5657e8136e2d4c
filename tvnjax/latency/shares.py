"""Measured milliseconds of every block of a network on the current device."""

from tvnjax.latency.measure import measure, prepare_unit
from tvnjax.latency.timer import Timer
from tvnjax.space.network import Network


def block_milliseconds(network: Network, timer: Timer) -> dict[int, float]:
    """The sum of each block's units, every distinct unit timed in a loop of its own (see ``prepare_unit``)."""
    distinct = {unit.key: unit for unit in network.units}
    measured = measure({key: prepare_unit(unit) for key, unit in distinct.items()}, timer)
    blocks: dict[int, float] = {}
    for unit in network.units:
        blocks[unit.block] = blocks.get(unit.block, 0.0) + measured[unit.key].median_ms
    return blocks
