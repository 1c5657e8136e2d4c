"""A network told shortly: equal repeats joined, every layer in a few words. What drawings and texts are made from."""

import dataclasses
from collections.abc import Sequence

from tvnjax.graph.network import (
    ContextGate,
    Conv,
    Layer,
    Network,
    NonLocal,
    Pool,
    Scale,
    Shape,
    SqueezeExcite,
    Triple,
    Unit,
)

KIND_COLOURS = {
    "1×1 convolution": "#dfe6ee",
    "spatial convolution": "#9cc9ea",
    "depthwise convolution": "#a9dcc3",
    "temporal convolution": "#f5b895",
    "space-time convolution": "#d9bce0",
    "pool": "#f4e08f",
    "gate": "#f3b3bd",
    "attention": "#c7c3f0",
    "scalar": "#e9e2d8",
}
"""Kinds of layers, each with a tint that dark text stays legible on."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class Stretch:
    """Units that follow one another ``times`` times: one unit, or a pair where every second repeat differs."""

    units: tuple[Unit, ...]
    times: int


def collapse(units: Sequence[Unit]) -> list[Stretch]:
    """Joins equal repeats of a block, and pairs of repeats that alternate (the temporal layer acts in even ones)."""
    stretches: list[Stretch] = []
    start = 0
    while start < len(units):
        best = Stretch(units=(units[start],), times=1)
        for period in (1, 2):
            times = _times(units, start, period)
            if times > 1 and times * period > best.times * len(best.units):
                best = Stretch(units=tuple(units[start : start + period]), times=times)
        stretches.append(best)
        start += best.times * len(best.units)
    return stretches


def blocks(network: Network) -> list[tuple[int, list[Stretch]]]:
    """The stretches of each block, under the block's index."""
    found: dict[int, list[Unit]] = {}
    for unit in network.units:
        found.setdefault(unit.block, []).append(unit)
    return [(block, collapse(units)) for block, units in found.items()]


def layer_kind(layer: Layer) -> str:
    """Which of ``KIND_COLOURS`` a layer is."""
    if isinstance(layer, Pool):
        return "pool"
    if isinstance(layer, SqueezeExcite | ContextGate):
        return "gate"
    if isinstance(layer, NonLocal):
        return "attention"
    if isinstance(layer, Scale):
        return "scalar"
    if layer.depthwise:
        return "depthwise convolution"
    if layer.kernel == (1, 1, 1):
        return "1×1 convolution"
    if layer.kernel[0] == 1:
        return "spatial convolution"
    return "temporal convolution" if layer.kernel[1:] == (1, 1) else "space-time convolution"


def layer_label(layer: Layer) -> str:
    """A layer in one short phrase: ``3×3 /2 → 64``, ``t3 → 64``, ``se 16``."""
    if isinstance(layer, Conv):
        depthwise = "dw " if layer.depthwise else ""
        grouped = f" in {layer.groups} groups" if layer.groups > 1 and not layer.depthwise else ""
        return f"{depthwise}{_kernel(layer.kernel)}{_strides(layer.stride)} → {layer.out_shape.c}{grouped}"
    if isinstance(layer, Pool):
        return f"{layer.kind} {_kernel(layer.window)}{_strides(layer.stride)}"
    if isinstance(layer, SqueezeExcite):
        return f"se {layer.hidden}" + (" a frame" if layer.per_frame else "")
    if isinstance(layer, ContextGate):
        return "gate"
    return f"non-local {layer.bottleneck}" if isinstance(layer, NonLocal) else "× scalar"


def unit_label(unit: Unit) -> str:
    """The layers of a unit and its shortcut in one line."""
    chain = ", ".join(map(layer_label, unit.layers)) or "identity"
    if unit.shortcut is None:
        return chain
    return f"{chain} + {', '.join(map(layer_label, unit.shortcut)) or 'input'}"


def layer_words(layer: Layer) -> tuple[str, str, str, str, str]:
    """Kind, kernel, stride, output channels and activation of a layer; empty where a layer has none."""
    if isinstance(layer, Conv):
        kind = "depthwise" if layer.depthwise else "conv" if layer.groups == 1 else f"conv /{layer.groups}"
        return kind, size(layer.kernel), _stride(layer.stride), str(layer.out_shape.c), layer.act or ""
    if isinstance(layer, Pool):
        return f"{layer.kind} pool", size(layer.window), _stride(layer.stride), str(layer.out_shape.c), ""
    if isinstance(layer, SqueezeExcite):
        return f"squeeze-excite, {layer.hidden} hidden", "", "", str(layer.out_shape.c), "gate"
    if isinstance(layer, ContextGate):
        return "context gate", "", "", str(layer.out_shape.c), "gate"
    if isinstance(layer, Scale):
        return "scalar from 0", "", "", str(layer.out_shape.c), ""
    assert isinstance(layer, NonLocal)
    return f"non-local, {layer.bottleneck} wide", "", "", str(layer.out_shape.c), ""


def size(lengths: Triple | Shape) -> str:
    """Lengths with a multiplication sign between them."""
    return "×".join(map(str, lengths))


def frames_text(network: Network) -> str:
    """How many frames a network reads, and how far apart."""
    frames = network.input_shape.t
    return f"{frames} frames, stride {network.frame_stride}" if frames > 1 else "1 frame"


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


def _kernel(kernel: Triple) -> str:
    t, h, w = kernel
    if h == w == 1:
        return f"t{t}" if t > 1 else "1×1"
    return f"{h}×{w}" if t == 1 else size(kernel)


def _strides(stride: Triple) -> str:
    t, h, w = stride
    if stride == (1, 1, 1):
        return ""
    if t == 1 and h == w:
        return f" /{h}"
    return f" /t{t}" if h == w == 1 else f" /{size(stride)}"


def _stride(stride: Triple) -> str:
    return "" if stride == (1, 1, 1) else f"stride {size(stride)}"


def _times(units: Sequence[Unit], start: int, period: int) -> int:
    pattern = [(unit.block, unit.key) for unit in units[start : start + period]]
    if len({block for block, _ in pattern}) > 1:
        return 1
    times = 1
    while [(u.block, u.key) for u in units[start + times * period : start + (times + 1) * period]] == pattern:
        times += 1
    return times
