"""Maximum and mean over a window."""

import dataclasses
from typing import Literal

from tvnjax.graph.layer import CostFeatures, Layer, Sign, Words
from tvnjax.graph.shape import Shape, Triple, lengths, stride_label, stride_words, window_key, window_label


@dataclasses.dataclass(frozen=True, kw_only=True)
class Pool(Layer):
    """SAME pooling; an average leaves the padding out of its divisor."""

    out_shape: Shape = dataclasses.field()  # pyright: ignore[reportIncompatibleVariableOverride]
    kind: Literal["max", "avg"]
    window: Triple
    stride: Triple

    def __str__(self) -> str:
        return f"{self.kind}pool{window_key(self.window, self.stride)}"

    @property
    def family(self) -> str:
        return "pool"

    @property
    def label(self) -> str:
        return f"{self.kind} {window_label(self.window)}{stride_label(self.stride)}"

    @property
    def words(self) -> Words:
        return Words(f"{self.kind} pool", lengths(self.window), stride_words(self.stride))

    @property
    def sign(self) -> Sign:
        return Sign("v", "white")

    @property
    def cost(self) -> CostFeatures:
        variant = self.kind + "".join("1" if size == 1 else "k" for size in self.window)
        gathered = sum(self.window) * self.out_shape.size
        return CostFeatures("pool", gathered, variant=variant, window=self.window, stride=self.stride)
