"""Weighted connections of a multi-stream network that come together."""

import dataclasses
import functools

from tvnjax.core.errors import InvalidInputError
from tvnjax.graph.join import Join
from tvnjax.graph.layer import GATE_SIGN, CostFeatures, Sign, Words
from tvnjax.graph.shape import Shape, Triple


@dataclasses.dataclass(frozen=True, kw_only=True)
class Fuse(Join):
    """The fusion of AssembleNet (Ryoo et al. 2020; the released code's): inputs of several sizes become one.

    Each input larger than the smallest height or width ``m`` is max-pooled with window and stride ``(size + 1) // m``.
    Where there are several, each is multiplied by a trained gate ``sigmoid(a)``. Inputs with as many channels are added
    and go through one 1×1 convolution, without bias or normalisation, to the largest number of channels; those that
    have it go through none. The result is the sum.

    Raises:
        InvalidInputError: the inputs' frames differ, or pooling one does not give the smallest height and width.
    """

    def __post_init__(self) -> None:
        super().__post_init__()
        if len({shape.t for shape in self.in_shapes}) > 1:
            raise InvalidInputError(
                f"inputs that are fused have the same frames; got {[shape.t for shape in self.in_shapes]}: stride over "
                "time before"
            )
        h, w = self.out_shape[1:3]
        for shape, window in zip(self.in_shapes, self.windows):
            if (-(-shape.h // window[1]), -(-shape.w // window[2])) != (h, w):
                raise InvalidInputError(
                    f"an input that is fused is pooled to the smallest of all, {h}×{w}, by a window of "
                    f"(size + 1) // smallest; {shape.h}×{shape.w} under {window[1]}×{window[2]} is not: stride it "
                    "before"
                )

    @functools.cached_property
    def out_shape(self) -> Shape:
        smallest = Shape(*(min(shape[axis] for shape in self.in_shapes) for axis in range(4)))
        return smallest._replace(c=max(shape.c for shape in self.in_shapes))

    @property
    def windows(self) -> tuple[Triple, ...]:
        """Of every input, window and stride of its pool; of one that is small enough, 1×1×1."""
        _, h, w, _ = self.out_shape
        return tuple((1, (shape.h + 1) // h, (shape.w + 1) // w) for shape in self.in_shapes)

    @property
    def gates(self) -> int:
        """Trained gates: one for each of several inputs; a single one has none."""
        return len(self.in_shapes) if len(self.in_shapes) > 1 else 0

    @property
    def groups(self) -> tuple[int, ...]:
        """The channel counts there are, in the order of the inputs that first have them."""
        return tuple(dict.fromkeys(shape.c for shape in self.in_shapes))

    @property
    def projected(self) -> tuple[int, ...]:
        """The channel counts with a 1×1 convolution."""
        return tuple(channels for channels in self.groups if channels != self.out_shape.c)

    @property
    def params(self) -> int:
        return self.gates + sum(self.projected) * self.out_shape.c

    @property
    def macs(self) -> int:
        return sum(self.projected) * self.out_shape.size

    def __str__(self) -> str:
        return "fuse"

    @property
    def label(self) -> str:
        return f"fuse {len(self.in_shapes)} → {self.out_shape.c}"

    @property
    def words(self) -> Words:
        pooled = sum(window != (1, 1, 1) for window in self.windows)
        how = [f"{pooled} pooled"] * (pooled > 0) + [f"{len(self.projected)} projected"] * (len(self.projected) > 0)
        return Words(", ".join([f"fuse {len(self.in_shapes)}", *how]), act="gates" if self.gates else "")

    @property
    def sign(self) -> Sign:
        return GATE_SIGN

    @property
    def cost(self) -> CostFeatures:
        """That of its 1×1 convolutions and of what is read; where nothing is projected, of what is read alone."""
        group = "pointwise" if self.projected else "gate"
        # No window: what a network learns over space or time is told by it, and pools learn nothing.
        _, heights, widths = zip(*self.windows)
        return CostFeatures(
            group=group,
            gathered=self.macs / self.out_shape.c,
            whole_vectors=bool(self.projected),
            variant="projected" if self.projected else "",
            stride=(1, max(heights), max(widths)),
            hidden=len(self.in_shapes),
        )
