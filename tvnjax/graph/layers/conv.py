"""Convolution, normalisation, activation."""

import dataclasses
import math

from tvnjax.graph.layer import CostFeatures, Layer, Sign, Words
from tvnjax.graph.shape import Shape, Triple, lengths, stride_label, stride_words, window_key, window_label

BN_EPSILON = 1e-5
"""Of the released TVNs and of most networks; some define another."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class Conv(Layer):
    """SAME convolution, then batch normalisation and activation where asked for.

    ``centered`` puts the window's middle tap on every stride-th element from the first on, as PyTorch's padding by half
    an odd kernel does; without it the odd element of padding comes last. They differ only where a stride does.
    """

    out_shape: Shape = dataclasses.field()  # pyright: ignore[reportIncompatibleVariableOverride]
    kernel: Triple = (1, 1, 1)
    stride: Triple = (1, 1, 1)
    groups: int = 1
    bias: bool = False
    norm: bool = True
    act: str | None = None
    centered: bool = False
    epsilon: float = BN_EPSILON
    """Of the batch normalisation."""

    @property
    def params(self) -> int:
        width = self.out_shape.c
        weights = math.prod(self.kernel) * (self.in_shape.c // self.groups) * width
        return weights + width * (2 * self.norm + self.bias)

    @property
    def macs(self) -> int:
        return self.out_shape.size * math.prod(self.kernel) * (self.in_shape.c // self.groups)

    @property
    def depthwise(self) -> bool:
        return self.groups > 1 and self.groups == self.in_shape.c

    def __str__(self) -> str:
        kind = "dwconv" if self.depthwise else "conv"
        tail = ("+b" if self.bias else "") + ("+bn" if self.norm else "") + (f"+{self.act}" if self.act else "")
        groups = f"g{self.groups}" if self.groups > 1 and not self.depthwise else ""
        groups += "c" if self.centered and self.stride != (1, 1, 1) else ""
        return f"{kind}{window_key(self.kernel, self.stride)}{groups}>{self.out_shape.c}{tail}"

    @property
    def family(self) -> str:
        if self.depthwise:
            return "depthwise convolution"
        if self.kernel == (1, 1, 1):
            return "1×1 convolution"
        if self.kernel[0] == 1:
            return "spatial convolution"
        return "temporal convolution" if self.kernel[1:] == (1, 1) else "space-time convolution"

    @property
    def label(self) -> str:
        depthwise = "dw " if self.depthwise else ""
        grouped = f" in {self.groups} groups" if self.groups > 1 and not self.depthwise else ""
        return f"{depthwise}{window_label(self.kernel)}{stride_label(self.stride)} → {self.out_shape.c}{grouped}"

    @property
    def words(self) -> Words:
        kind = "depthwise" if self.depthwise else "conv" if self.groups == 1 else f"conv /{self.groups}"
        return Words(kind, lengths(self.kernel), stride_words(self.stride), self.act or "")

    @property
    def sign(self) -> Sign:
        return Sign("s", "#b6c0c9") if self.depthwise else Sign("s")

    @property
    def cost(self) -> CostFeatures:
        group = "pointwise" if self.kernel == (1, 1, 1) else "dense"
        if self.depthwise:
            group = "depthwise"
        elif self.kernel[0] > 1:
            group = "temporal"
        variant = "".join("1" if size == 1 else "k" for size in self.kernel) + ("d" if self.depthwise else "")
        gathered = self.macs / self.out_shape.c
        return CostFeatures(group, gathered, True, variant, self.kernel, self.stride)
