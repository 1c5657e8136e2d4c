"""Layers in a chain, with a shortcut around them, and where what they get comes from."""

import dataclasses
import functools

from tvnjax.core.errors import InvalidInputError
from tvnjax.graph.checks import chain_end
from tvnjax.graph.join import Join
from tvnjax.graph.layer import Layer
from tvnjax.graph.shape import Shape


@dataclasses.dataclass(frozen=True)
class Stream:
    """One of the inputs of a network, counted from 0."""

    index: int


Source = int | Stream
"""Where an input of a unit comes from: an earlier unit by its place in the network, counted from 0, or a stream."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class Unit:
    """A chain of layers with an optional shortcut around it: ``act(layers(x) + shortcut(x))``.

    ``x`` is what one ``Source`` gives, or what ``join`` makes of several. ``inputs`` names them; empty, it is the unit
    before, of the first unit the first stream.

    ``shortcut`` is ``None`` for no addition; an empty tuple adds ``x`` itself.

    Raises:
        InvalidInputError: the shapes do not fit, or inputs and join do not.
    """

    block: int
    repeat: int
    in_shape: Shape
    """Of ``x``."""
    out_shape: Shape
    layers: tuple[Layer, ...]
    shortcut: tuple[Layer, ...] | None = None
    act: str | None = None
    inputs: tuple[Source, ...] = ()
    join: Join | None = None

    def __post_init__(self) -> None:
        count = max(len(self.inputs), 1)
        if self.join is None and count > 1:
            raise InvalidInputError(
                f"a unit of several inputs has a layer that joins them; this one has {count} inputs and none: give it "
                "join, a Fuse or a Merge"
            )
        if self.join is not None and (not isinstance(self.join, Join) or len(self.join.in_shapes) != count):
            joins = len(getattr(self.join, "in_shapes", ()))
            raise InvalidInputError(
                f"the join of a unit takes all of its inputs; {type(self.join).__name__} takes {joins} arrays, and the "
                f"unit has {count} inputs: name every one of them in inputs, and give a Fuse or a Merge of their shapes"
            )
        if self.join is not None and self.join.out_shape != self.in_shape:
            raise InvalidInputError(
                f"the layers of a unit take what its join gives; {self.join} gives {tuple(self.join.out_shape)} and "
                f"in_shape is {tuple(self.in_shape)}: correct one of them"
            )
        for where, chain in (("a unit", self.layers), ("a shortcut", self.shortcut)):
            end = self.out_shape if chain is None else chain_end(chain, self.in_shape, where)
            if end != self.out_shape:
                raise InvalidInputError(
                    f"{where} gives the out_shape of its unit; its layers give {tuple(end)} and out_shape is "
                    f"{tuple(self.out_shape)}: correct one of them"
                )

    @property
    def in_shapes(self) -> tuple[Shape, ...]:
        """Of every input."""
        return (self.in_shape,) if self.join is None else self.join.in_shapes

    @functools.cached_property
    def all_layers(self) -> tuple[Layer, ...]:
        """The join's, the chain's and the shortcut's, those inside of composite ones in their place."""
        head = () if self.join is None else (self.join,)
        return tuple(leaf for layer in (*head, *self.layers, *(self.shortcut or ())) for leaf in layer.leaves)

    @property
    def params(self) -> int:
        return sum(layer.params for layer in self.all_layers)

    @property
    def macs(self) -> int:
        return sum(layer.macs for layer in self.all_layers)

    @property
    def key(self) -> str:
        """What is timed, spelt out: equal keys are the same computation, wherever they stand in a network."""
        takes = " & ".join("x".join(map(str, shape)) for shape in self.in_shapes)
        chain = " ".join(map(str, (*([] if self.join is None else [self.join]), *self.layers))) or "identity"
        side = "" if self.shortcut is None else f" + ({' '.join(map(str, self.shortcut)) or 'input'})"
        return f"{takes}: {chain}{side}" + (f" {self.act}" if self.act else "")
