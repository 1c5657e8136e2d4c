"""A network told shortly: equal repeats joined, every layer in a few words. What drawings and texts are made from."""

import dataclasses
from collections.abc import Sequence

from tvnjax.graph.network import Network
from tvnjax.graph.unit import Unit


@dataclasses.dataclass(frozen=True, kw_only=True)
class Stretch:
    """Units that follow one another ``times`` times: one unit, or a pair where every second repeat differs."""

    units: tuple[Unit, ...]
    times: int


def collapse(units: Sequence[Unit]) -> list[Stretch]:
    """Joins equal repeats of a block, and pairs of repeats that alternate (the temporal layer acts in even ones)."""
    stretches: list[Stretch] = []
    start = 0
    while start < len(units):
        best = Stretch(units=(units[start],), times=1)
        for period in (1, 2):
            times = _times(units, start, period)
            if times > 1 and times * period > best.times * len(best.units):
                best = Stretch(units=tuple(units[start : start + period]), times=times)
        stretches.append(best)
        start += best.times * len(best.units)
    return stretches


def blocks(network: Network) -> list[tuple[int, list[Stretch]]]:
    """The stretches of each block, under the block's index."""
    found: dict[int, list[Unit]] = {}
    for unit in network.units:
        found.setdefault(unit.block, []).append(unit)
    return [(block, collapse(units)) for block, units in found.items()]


def unit_label(unit: Unit) -> str:
    """The layers of a unit and its shortcut in one line."""
    chain = ", ".join(layer.label for layer in unit.layers) or "identity"
    if unit.shortcut is None:
        return chain
    return f"{chain} + {', '.join(layer.label for layer in unit.shortcut) or 'input'}"


def frames_text(network: Network) -> str:
    """How many frames a network reads, and how far apart."""
    frames = network.input_shape.t
    return f"{frames} frames, stride {network.frame_stride}" if frames > 1 else "1 frame"


HEAD_WORDS = {
    "mean": "mean over time and space",
    "softmax_time": "softmax over time",
    "max_time": "largest over time",
    "max_features": "largest features over time",
}


def head_text(network: Network) -> str:
    """What the head does."""
    head = network.head
    hidden = f" → {head.hidden}" if head.hidden else ""
    return f"{HEAD_WORDS[head.pool]}{hidden} → {head.num_classes} classes"


def parametric_layers(network: Network) -> int:
    """Convolutions over space or time, in all units: 0 is a network collapsed onto pools and identities."""
    return sum(layer.params > 0 and max(layer.cost.window) > 1 for layer in network.layers())


def _times(units: Sequence[Unit], start: int, period: int) -> int:
    pattern = [(unit.block, unit.key) for unit in units[start : start + period]]
    if len({block for block, _ in pattern}) > 1:
        return 1
    times = 1
    while [(u.block, u.key) for u in units[start + times * period : start + (times + 1) * period]] == pattern:
        times += 1
    return times
