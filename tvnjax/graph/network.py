"""A whole network of primitive layers with every shape known: what a genotype is lowered to and all else reads."""

import dataclasses
from collections.abc import Iterator

from tvnjax.graph.head import Head
from tvnjax.graph.layer import Layer
from tvnjax.graph.shape import Shape
from tvnjax.graph.unit import Unit


@dataclasses.dataclass(frozen=True, kw_only=True)
class Network:
    """A whole network as primitive layers."""

    input_shape: Shape
    frame_stride: int
    units: tuple[Unit, ...]
    head: Head

    def __repr__(self) -> str:
        t, h, w, c = self.input_shape
        read = f"{t} frames of {h} × {w} × {c}"
        return f"Network({read}, {len(self.units)} units, {self.head.num_classes} classes, {self.params:,} parameters)"

    @property
    def params(self) -> int:
        return sum(unit.params for unit in self.units) + self.head.params

    @property
    def macs(self) -> int:
        return sum(unit.macs for unit in self.units) + self.head.macs

    def layers(self) -> Iterator[Layer]:
        for unit in self.units:
            yield from unit.all_layers
