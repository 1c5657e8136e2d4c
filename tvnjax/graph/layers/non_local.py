"""Attention over positions."""

import dataclasses

from tvnjax.graph.layer import Layer, Sign, Words


@dataclasses.dataclass(frozen=True, kw_only=True)
class NonLocal(Layer):
    """Embedded-Gaussian attention over all positions of a clip, added to its input (Wang et al. 2018, section 3.2)."""

    bottleneck: int

    @property
    def params(self) -> int:
        return 4 * self.in_shape.c * self.bottleneck + 3 * self.bottleneck + self.in_shape.c

    @property
    def macs(self) -> int:
        tokens = self.in_shape.t * self.in_shape.h * self.in_shape.w
        return 4 * tokens * self.in_shape.c * self.bottleneck + 2 * tokens**2 * self.bottleneck

    def __str__(self) -> str:
        return f"nonlocal{self.bottleneck}"

    @property
    def family(self) -> str:
        return "attention"

    @property
    def label(self) -> str:
        return f"non-local {self.bottleneck}"

    @property
    def words(self) -> Words:
        return Words(f"non-local, {self.bottleneck} wide")

    @property
    def sign(self) -> Sign:
        return Sign("D")
