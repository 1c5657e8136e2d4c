"""A network told shortly: equal repeats joined, every layer in a few words. What drawings and texts are made from."""

import dataclasses
from collections import Counter
from collections.abc import Sequence

from tvnjax.graph.network import Network, input_names
from tvnjax.graph.shape import lengths
from tvnjax.graph.unit import Unit


@dataclasses.dataclass(frozen=True, kw_only=True)
class Stretch:
    """Units that follow one another ``times`` times: one unit, or a pair where every second repeat differs."""

    units: tuple[Unit, ...]
    times: int
    first: int
    """Where it begins: the place of its first unit in the network, from 0."""

    @property
    def last(self) -> int:
        """The place of its last unit."""
        return self.first + len(self.units) * self.times - 1

    @property
    def number(self) -> str:
        """Its units as people count them: ``3``, or ``3-6``."""
        return f"{self.first + 1}" + (f"-{self.last + 1}" if self.last > self.first else "")


def collapse(network: Network) -> list[Stretch]:
    """Joins equal repeats of a block, and pairs of repeats that alternate (the temporal layer acts in even ones). In a
    graph these are units of which each reads just the one before, and nothing else reads that."""
    units, follows = network.units, _follows(network)
    stretches: list[Stretch] = []
    start = 0
    while start < len(units):
        best = Stretch(units=(units[start],), times=1, first=start)
        for period in (1, 2):
            times = _times(units, follows, start, period)
            if times > 1 and times * period > best.times * len(best.units):
                best = Stretch(units=tuple(units[start : start + period]), times=times, first=start)
        stretches.append(best)
        start += best.times * len(best.units)
    return stretches


def reads_text(network: Network, number: int) -> str:
    """What a unit of a graph reads, in words: ``from 2, 5`` (units as people count them) or ``from clip_1``. Empty
    where it reads the unit before, or the one clip, and nothing else."""
    wiring = network.wiring
    if wiring.follows(number) and (number or wiring.streams == 1):
        return ""
    return f"from {', '.join(array_names(network)[at] for at in wiring.reads[number])}"


def array_names(network: Network) -> list[str]:
    """What is flowing, in the order of ``Wiring.reads``: names of the streams, and numbers of units from 1."""
    streams = input_names(network.wiring.streams)
    return [*streams, *(str(number) for number in range(1, len(network.units) + 1))]


def blocks(network: Network) -> list[tuple[int, list[Stretch]]]:
    """The stretches of each block, under the block's index."""
    found: dict[int, list[Stretch]] = {}
    for stretch in collapse(network):
        found.setdefault(stretch.units[0].block, []).append(stretch)
    return list(found.items())


def unit_label(unit: Unit) -> str:
    """The layers of a unit, its join in front, and its shortcut in one line."""
    joined = () if unit.join is None else (unit.join,)
    chain = ", ".join(layer.label for layer in (*joined, *unit.layers)) or "identity"
    if unit.shortcut is None:
        return chain
    return f"{chain} + {', '.join(layer.label for layer in unit.shortcut) or 'input'}"


def placed_label(network: Network, number: int) -> str:
    """``unit_label`` of a unit where it stands: in a graph with its number and what it reads."""
    label = unit_label(network.units[number])
    return label if network.is_chain else f"{number + 1} {reads_text(network, number)}".rstrip() + f": {label}"


def frames_text(network: Network) -> str:
    """How many frames a network reads, and how far apart."""
    frames = network.input_shape.t
    return f"{frames} frames, stride {network.frame_stride}" if frames > 1 else "1 frame"


def clips_text(network: Network) -> str:
    """What a network reads: pixels and frames, and the sizes of further streams."""
    names = input_names(len(network.input_shapes))
    named = f"{names[0]} " if network.further_inputs else ""
    more = "".join(f", {name} {lengths(shape)}" for name, shape in zip(names[1:], network.further_inputs))
    return f"{named}{network.input_shape.h} × {network.input_shape.w} px × {frames_text(network)}{more}"


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


def _follows(network: Network) -> list[bool]:
    """Of every unit, whether it and the one before can be told as one: it reads that one alone, and no other does."""
    wiring = network.wiring
    readers = Counter(at for reads in wiring.reads for at in reads)
    return [
        number > 0 and wiring.follows(number) and readers[wiring.streams + number - 1] == 1
        for number in range(len(network.units))
    ]


def _times(units: Sequence[Unit], follows: Sequence[bool], start: int, period: int) -> int:
    def pattern(first: int) -> list[tuple[int, str]]:
        part = units[first : first + period]
        told_as_one = all(follows[at] for at in range(first, first + len(part)) if at > start)
        return [(unit.block, unit.key) for unit in part] if told_as_one else []

    wanted = pattern(start)
    if len({block for block, _ in wanted}) != 1:
        return 1
    times = 1
    while pattern(start + times * period) == wanted:
        times += 1
    return times
