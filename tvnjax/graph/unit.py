"""Layers in a chain, with a shortcut around them."""

import dataclasses

from tvnjax.graph.layer import Layer
from tvnjax.graph.shape import Shape


@dataclasses.dataclass(frozen=True, kw_only=True)
class Unit:
    """A chain of layers with an optional shortcut around it: ``act(layers(x) + shortcut(x))``.

    ``shortcut`` is ``None`` for no addition; an empty tuple adds the unit's own input.
    """

    block: int
    repeat: int
    in_shape: Shape
    out_shape: Shape
    layers: tuple[Layer, ...]
    shortcut: tuple[Layer, ...] | None = None
    act: str | None = None

    @property
    def all_layers(self) -> tuple[Layer, ...]:
        return self.layers + (self.shortcut or ())

    @property
    def params(self) -> int:
        return sum(layer.params for layer in self.all_layers)

    @property
    def macs(self) -> int:
        return sum(layer.macs for layer in self.all_layers)

    @property
    def key(self) -> str:
        """What is timed, spelt out: equal keys are the same computation, wherever they stand in a network."""
        t, h, w, c = self.in_shape
        chain = " ".join(map(str, self.layers)) or "identity"
        side = "" if self.shortcut is None else f" + ({' '.join(map(str, self.shortcut)) or 'input'})"
        return f"{t}x{h}x{w}x{c}: {chain}{side}" + (f" {self.act}" if self.act else "")
