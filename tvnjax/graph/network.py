"""Primitive layers with every shape known: what a genotype is lowered to and everything else reads.

The counting rule, printed beside every figure made from these numbers:

- *parameters* are the trainable ones: weights, biases and the two affine vectors of a batch normalisation;
- *multiply-adds* (``macs``) are those of convolutions and matrix products alone, for one clip, padding taps counted.
"""

import dataclasses
import math
from collections.abc import Iterator
from typing import Literal, NamedTuple

COUNTING_RULE = (
    "parameters: trainable only, batch-norm affine included; multiply-adds: convolutions and matrix products only, "
    "one clip, padding taps counted"
)

Triple = tuple[int, int, int]

HeadKind = Literal["mean", "softmax_time", "max_time"]
"""How a network's scores are pooled; see ``Head``."""

HeadPool = HeadKind | Literal["max_features"]
"""Every pool a head can have; the last one needs a hidden layer."""

BN_EPSILON = 1e-5
"""Of the released TVNs and of most networks; some define another."""


class Shape(NamedTuple):
    """Size of one clip's activations: frames, height, width, channels."""

    t: int
    h: int
    w: int
    c: int

    @property
    def size(self) -> int:
        return self.t * self.h * self.w * self.c


@dataclasses.dataclass(frozen=True, kw_only=True)
class Conv:
    """SAME convolution, then batch normalisation and activation where asked for.

    ``centered`` puts the window's middle tap on every stride-th element from the first on, as PyTorch's padding by half
    an odd kernel does; without it the odd element of padding comes last. They differ only where a stride does.
    """

    in_shape: Shape
    out_shape: Shape
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
        return f"{kind}{_window(self.kernel, self.stride)}{groups}>{self.out_shape.c}{tail}"


@dataclasses.dataclass(frozen=True, kw_only=True)
class Pool:
    """SAME pooling; an average leaves the padding out of its divisor."""

    in_shape: Shape
    out_shape: Shape
    kind: Literal["max", "avg"]
    window: Triple
    stride: Triple

    params = 0
    macs = 0

    def __str__(self) -> str:
        return f"{self.kind}pool{_window(self.window, self.stride)}"


@dataclasses.dataclass(frozen=True, kw_only=True)
class SqueezeExcite:
    """One gate a clip: mean over time and space, dense to ``hidden``, relu, dense back, sigmoid.

    Networks other than TVNs vary it: another activation of the hidden layer, a ``hsigmoid`` gate, an activation behind
    the gated values, or a gate for each frame from that frame's mean.
    """

    in_shape: Shape
    hidden: int
    hidden_act: str = "relu"
    gate: str = "sigmoid"
    act: str | None = None
    per_frame: bool = False

    @property
    def out_shape(self) -> Shape:
        return self.in_shape

    @property
    def params(self) -> int:
        return 2 * self.in_shape.c * self.hidden + self.hidden + self.in_shape.c

    @property
    def macs(self) -> int:
        return 2 * self.in_shape.c * self.hidden * (self.in_shape.t if self.per_frame else 1)

    def __str__(self) -> str:
        plain = (self.hidden_act, self.gate) == ("relu", "sigmoid")
        kind = "" if plain else f"({self.hidden_act},{self.gate})"
        tail = f"+{self.act}" if self.act else ""
        return f"se{self.hidden}{kind}{'/frame' if self.per_frame else ''}{tail}"


@dataclasses.dataclass(frozen=True, kw_only=True)
class ContextGate:
    """One gate a clip: mean over time and space, dense, sigmoid."""

    in_shape: Shape

    @property
    def out_shape(self) -> Shape:
        return self.in_shape

    @property
    def params(self) -> int:
        return self.macs + self.in_shape.c

    @property
    def macs(self) -> int:
        return self.in_shape.c**2

    def __str__(self) -> str:
        return "gate"


@dataclasses.dataclass(frozen=True, kw_only=True)
class NonLocal:
    """Embedded-Gaussian attention over all positions of a clip, added to its input (Wang et al. 2018, section 3.2)."""

    in_shape: Shape
    bottleneck: int

    @property
    def out_shape(self) -> Shape:
        return self.in_shape

    @property
    def params(self) -> int:
        return 4 * self.in_shape.c * self.bottleneck + 3 * self.bottleneck + self.in_shape.c

    @property
    def macs(self) -> int:
        tokens = self.in_shape.t * self.in_shape.h * self.in_shape.w
        return 4 * tokens * self.in_shape.c * self.bottleneck + 2 * tokens**2 * self.bottleneck

    def __str__(self) -> str:
        return f"nonlocal{self.bottleneck}"


@dataclasses.dataclass(frozen=True, kw_only=True)
class Scale:
    """The input times one trained scalar that starts at 0, so that a unit starts as its shortcut (ReZero; MoViNet)."""

    in_shape: Shape

    params = 1
    macs = 0

    @property
    def out_shape(self) -> Shape:
        return self.in_shape

    def __str__(self) -> str:
        return "rezero"


Layer = Conv | Pool | SqueezeExcite | ContextGate | NonLocal | Scale


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


@dataclasses.dataclass(frozen=True, kw_only=True)
class Head:
    """Pools what the last unit gives and maps it to class scores.

    ``mean``: mean over time and space, dropout, dense. ``softmax_time``: mean over space, dropout, dense a frame,
    and the scores of the frames averaged with weights ``softmax(scores / sqrt(frames))`` over time (the released
    multi-label head). ``max_time``: the same scores of the frames, and the largest of each class over time.

    ``hidden`` puts a dense layer of that width behind the mean, before dropout. ``max_features`` takes the largest of
    each of its values over time, and one dense layer of classes behind.

    Raises:
        ValueError: ``max_features`` without a hidden layer.
    """

    in_shape: Shape
    num_classes: int
    pool: HeadPool = "mean"
    dropout: float = 0.5
    hidden: int = 0
    hidden_act: str | None = None
    hidden_bias: bool = True

    def __post_init__(self) -> None:
        if self.pool == "max_features" and not self.hidden:
            raise ValueError("max_features pools the values of a hidden layer; hidden is 0")

    @property
    def features(self) -> int:
        """Width of what the scores are made from."""
        return self.hidden or self.in_shape.c

    @property
    def params(self) -> int:
        hidden = (self.in_shape.c + self.hidden_bias) * self.hidden
        return hidden + (self.features + 1) * self.num_classes

    @property
    def macs(self) -> int:
        frames = self.in_shape.t
        hidden = self.in_shape.c * self.hidden * (1 if self.pool == "mean" else frames)
        return hidden + self.features * self.num_classes * (1 if self.pool in ("mean", "max_features") else frames)


@dataclasses.dataclass(frozen=True, kw_only=True)
class Network:
    """A whole network as primitive layers."""

    input_shape: Shape
    frame_stride: int
    units: tuple[Unit, ...]
    head: Head

    @property
    def params(self) -> int:
        return sum(unit.params for unit in self.units) + self.head.params

    @property
    def macs(self) -> int:
        return sum(unit.macs for unit in self.units) + self.head.macs

    def layers(self) -> Iterator[Layer]:
        for unit in self.units:
            yield from unit.all_layers


def _window(window: Triple, stride: Triple) -> str:
    text = "x".join(map(str, window))
    return text if stride == (1, 1, 1) else f"{text}/{'x'.join(map(str, stride))}"
