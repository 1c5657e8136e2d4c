"""What every primitive layer says of itself, in one class and one file: shapes, counts, texts, looks, and what a cost
model may look at. What needs JAX hangs on by registration (``nn.layers``), and so does a form in ONNX (``export``).

The counting rule, printed beside every figure made from these numbers:

- *parameters* are the trainable ones: weights, biases and the two affine vectors of a batch normalisation;
- *multiply-adds* (``macs``) are those of convolutions and matrix products alone, for one clip, padding taps counted.
"""

import dataclasses
import functools
from typing import Any, NamedTuple

from tvnjax.core.errors import InvalidInputError
from tvnjax.graph.shape import Shape, Triple

COUNTING_RULE = (
    "parameters: trainable only, batch-norm affine included; multiply-adds: convolutions and matrix products only, "
    "one clip, padding taps counted"
)

UNPLACED = Shape(0, 0, 0, 0)
"""Of a layer that does not yet stand in a network."""

FAMILY_COLOURS = {
    "1×1 convolution": "#dfe6ee",
    "spatial convolution": "#9cc9ea",
    "depthwise convolution": "#a9dcc3",
    "temporal convolution": "#f5b895",
    "space-time convolution": "#d9bce0",
    "pool": "#f4e08f",
    "gate": "#f3b3bd",
    "attention": "#c7c3f0",
    "scalar": "#e9e2d8",
    "join": "#bfe0e0",
    "own layer": "#cfd8c8",
}
"""Families of layers, each with a tint that dark text stays legible on."""


class Words(NamedTuple):
    """A layer's row in a drawing; empty where it has none."""

    kind: str
    kernel: str = ""
    stride: str = ""
    act: str = ""


class Sign(NamedTuple):
    """The mark in front of a layer's row: Matplotlib's marker, its fill (default: ink), its size, a cross on it."""

    marker: str = "P"
    face: str = ""
    size: float = 6.5
    crossed: bool = False


GATE_SIGN = Sign("o", "#ffe8a3", 8.5, crossed=True)
"""Of what multiplies."""


class CostFeatures(NamedTuple):
    """What a cost model may look at, besides shapes and multiply-adds."""

    group: str = "gate"
    """Whose coefficients it has: pointwise, dense, depthwise, temporal, pool, or gate: everything else."""
    gathered: float = 0.0
    """Values read under a window, for all positions."""
    whole_vectors: bool = False
    """Whether its multiply-adds are ``gathered`` times its output channels, counted in whole vectors."""
    variant: str = ""
    """Tells layers of one class apart whose costs have little to do with one another."""
    window: Triple = (1, 1, 1)
    stride: Triple = (1, 1, 1)
    hidden: int = 1
    """Another size that costs grow with."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class Layer:
    """A primitive layer: a frozen dataclass, whose fields are all that it is. Equal layers are the same computation.

    An own one says what differs from the defaults here: a layer without weights or multiply-adds that keeps the shape
    of what it gets, and whose class name and fields are its text. By that text measured latencies are kept and runs
    gone on with, and by no code: where what a layer computes changes, its name or a field has to.
    """

    in_shape: Shape = UNPLACED

    @functools.cached_property  # and no property, which a subclass could not turn into a field
    def out_shape(self) -> Shape:
        """Of what it gives; default: of what it gets."""
        return self.in_shape

    @functools.cached_property
    def in_shapes(self) -> tuple[Shape, ...]:
        """Of everything it gets: one array, but for a ``Join``."""
        return (self.in_shape,)

    @property
    def inside(self) -> "tuple[tuple[Layer, ...], ...]":
        """Chains of layers it holds, side by side."""
        return ()

    @property
    def leaves(self) -> "tuple[Layer, ...]":
        """The layers it is made of, in the order they run in; itself, unless it holds others."""
        return (self,)

    @property
    def params(self) -> int:
        """Trainable parameters."""
        return 0

    @property
    def macs(self) -> int:
        """Multiply-adds for one clip."""
        return 0

    def __str__(self) -> str:
        """The layer in a unit's key: layers of equal text on equal shapes are timed once."""
        told = [
            f"{field.name}={getattr(self, field.name)}"
            for field in dataclasses.fields(self)
            if field.name not in ("in_shape", "in_shapes", "out_shape")
        ]
        width = f">{self.out_shape.c}" if self.out_shape.c != self.in_shape.c else ""
        return f"{type(self).__name__.lower()}({','.join(told)}){width}".replace(" ", "")

    @property
    def family(self) -> str:
        """Which of ``FAMILY_COLOURS`` it has."""
        return "own layer"

    @property
    def label(self) -> str:
        """The layer in one short phrase: ``3×3 /2 → 64``, ``t3 → 64``, ``se 16``."""
        return str(self)

    @property
    def words(self) -> Words:
        """Its row in a drawing."""
        return Words(str(self))

    @property
    def sign(self) -> Sign:
        """Its mark in a drawing."""
        return Sign()

    @property
    def cost(self) -> CostFeatures:
        """What a cost model may look at."""
        return CostFeatures()

    def build(self, rngs: Any) -> Any:
        """An own layer's ``nnx.Module``: ``[B, T, H, W, C]`` to the shape it gives.

        Args:
            rngs: ``nnx.Rngs`` to draw weights from.

        Raises:
            InvalidInputError: the class has none.
        """
        raise missing_facet(self, "module", "a method build(self, rngs) that returns an nnx.Module")

    def placed(self, in_shape: Shape) -> "Layer":
        """This layer where it gets arrays of a shape."""
        return dataclasses.replace(self, in_shape=in_shape)


def missing_facet(layer: Any, facet: str, wanted: str) -> InvalidInputError:
    """What is raised where a layer is used without what that use needs."""
    return InvalidInputError(
        f"a layer that is used here has a {facet}; {type(layer).__name__} has none: give it {wanted}"
    )
