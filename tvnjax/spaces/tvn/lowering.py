"""From genes to primitive layers: the one place that knows what a gene means.

Source: the released network definitions of Tiny Video Networks. The unit's parts are functions of their own because the
expected cost of a relaxed network is a sum over these parts (see ``tvnjax.spaces.tvn.costs.expected``).
"""

from functools import lru_cache

from tvnjax.graph import (
    ContextGate,
    Conv,
    Head,
    HeadKind,
    Layer,
    Network,
    NonLocal,
    Pool,
    Shape,
    SqueezeExcite,
    Triple,
    Unit,
)
from tvnjax.spaces.tvn.genotype import POOLS, Block, Genotype
from tvnjax.spaces.tvn.operators import can_stride, operator_of
from tvnjax.spaces.tvn.own_operators import OwnOperator

SQUEEZE_MIN_HIDDEN = 8
"""Smallest hidden width of a squeeze-excite layer (released code)."""


def lower(
    genotype: Genotype,
    num_classes: int,
    *,
    channels: int = 3,
    head: HeadKind = "mean",
) -> Network:
    """Lowers a genotype to a network of primitive layers with every shape known.

    Layers that compute nothing are left out: a pool whose windows hold one pixel, an activation right after the same
    one, a unit with nothing in it.
    """
    shape = input_shape = Shape(genotype.num_frames, genotype.image_size, genotype.image_size, channels)
    units: list[Unit] = []
    act: str | None = None
    for index, block in enumerate(genotype.blocks):
        block_units = lower_block(block, index, shape, after=act)
        units += block_units
        if block_units:
            shape, act = block_units[-1].out_shape, block_units[-1].act
    return Network(
        input_shape=input_shape,
        frame_stride=genotype.frame_stride if genotype.num_frames > 1 else 1,
        units=tuple(units),
        head=Head(in_shape=shape, num_classes=num_classes, pool=head),
    )


def lower_block(block: Block, index: int, shape: Shape, *, after: str | None = None) -> tuple[Unit, ...]:
    """The units of one block that receives ``shape`` behind an activation ``after`` (``None``: none)."""
    units: list[Unit] = []
    for repeat in range(block.repeats):
        unit = lower_unit(block, index, repeat, shape)
        idle = not unit.layers and unit.shortcut is None and unit.act == "relu" and after == "relu"
        if not idle:
            units.append(unit)
            shape, after = unit.out_shape, unit.act
    return tuple(units)


@lru_cache(maxsize=65536)
def lower_unit(block: Block, index: int, repeat: int, shape: Shape) -> Unit:
    """Repeat ``repeat`` of a block: strides act in the first repeat, the temporal layer in even ones."""
    spatial_stride = block.spatial_stride if repeat == 0 else 1
    temporal_stride = block.temporal_stride if repeat == 0 else 1
    layers: list[Layer] = []

    def extend(more: tuple[Layer, ...]) -> Shape:
        layers.extend(more)
        return layers[-1].out_shape if layers else shape

    x = shape
    if block.inverted_bottleneck:
        x = extend((_pointwise(x, block.expanded, act="relu"),))
    x = extend(spatial_layers(block, spatial_stride, x))
    if repeat % 2 == 0:
        x = extend(temporal_layers(block, temporal_stride, x))
    x = extend(expand_layers(block, x))
    x = extend(gate_layers(block, x))
    if block.inverted_bottleneck:
        x = extend((_pointwise(x, block.filters),))
    shortcut = None
    if block.skip and x.t == shape.t:
        strides = can_stride(operator_of(block.spatial_type, block.spatial_kernel))
        stride = spatial_stride if strides else 1
        shortcut = shortcut_layers(stride, shape, x)
    return Unit(
        block=index,
        repeat=repeat,
        in_shape=shape,
        out_shape=x,
        layers=tuple(layers),
        shortcut=shortcut,
        act=block.act,
    )


def spatial_layers(block: Block, stride: int, shape: Shape) -> tuple[Layer, ...]:
    """The spatial part: nothing for a kernel of 1, a pool, or a convolution behind its 1x1 (``1std`` has none)."""
    k, act = block.spatial_kernel, block.spatial_act
    if k == 1:
        return ()
    if isinstance(block.spatial_type, OwnOperator):
        return (block.spatial_type.place(shape, k, stride, "spatial"),)
    if block.spatial_type in POOLS:
        return _pool(block.spatial_type, (1, k, k), (1, stride, stride), shape)
    width = block.expanded if block.inverted_bottleneck else block.filters
    layers: list[Layer] = []
    if block.spatial_type != "1std":
        layers.append(_pointwise(shape, width, act=act))
        shape = layers[-1].out_shape
    groups = width if block.spatial_type == "depth" else 1
    layers.append(_conv(shape, width, (1, k, k), (1, stride, stride), groups=groups, act=act))
    return tuple(layers)


def temporal_layers(block: Block, stride: int, shape: Shape) -> tuple[Layer, ...]:
    """The temporal part: nothing for a kernel of 1 or a single frame, a pool, or a convolution along time."""
    k = block.temporal_kernel
    if k == 1 or shape.t == 1:
        return ()
    if isinstance(block.temporal_type, OwnOperator):
        return (block.temporal_type.place(shape, k, stride, "temporal"),)
    if block.temporal_type in POOLS:
        return _pool(block.temporal_type, (k, 1, 1), (stride, 1, 1), shape)
    width = block.expanded if block.inverted_bottleneck else block.filters
    return (_conv(shape, width, (k, 1, 1), (stride, 1, 1), act=block.temporal_act),)


def expand_layers(block: Block, shape: Shape) -> tuple[Layer, ...]:
    """The linear 1x1 convolution to ``filters * expand`` channels, unless inverted or ``expand`` is 0."""
    if block.inverted_bottleneck or block.expand == 0:
        return ()
    return (_pointwise(shape, block.expanded),)


def gate_layers(block: Block, shape: Shape) -> tuple[Layer, ...]:
    """Non-local layer, squeeze-excite, context gate, each where it is switched on, on the channels that are there.

    The released code has no non-local layer; the paper does not say where it stands. Here it comes before the gates, so
    that a gate can weigh what attention added.
    """
    layers: list[Layer] = []
    if block.non_local:
        layers.append(NonLocal(in_shape=shape, bottleneck=block.non_local))
    if block.squeeze > 0:
        layers.append(SqueezeExcite(in_shape=shape, hidden=squeeze_hidden(shape.c, block.squeeze)))
    if block.context_gate:
        layers.append(ContextGate(in_shape=shape))
    return tuple(layers)


def shortcut_layers(stride: int, source: Shape, target: Shape) -> tuple[Layer, ...]:
    """The projection around a unit: always a strided linear 1x1 convolution, even where the shapes agree."""
    return (_conv(source, target.c, (1, 1, 1), (1, stride, stride)),)


def squeeze_hidden(width: int, ratio: float) -> int:
    """Hidden width of a squeeze-excite layer: ``max(int(width * ratio), 8)`` (released code)."""
    return max(int(width * ratio), SQUEEZE_MIN_HIDDEN)


def _pointwise(shape: Shape, width: int, act: str | None = None) -> Conv:
    return _conv(shape, width, (1, 1, 1), (1, 1, 1), act=act)


def _conv(shape: Shape, width: int, kernel: Triple, stride: Triple, groups: int = 1, act: str | None = None) -> Conv:
    # A stride past the end of an axis leaves one output wherever it lands, with the same padding.
    t, h, w = (min(s, n) for s, n in zip(stride, shape[:3]))
    return Conv(
        in_shape=shape,
        out_shape=strided(shape, (t, h, w), width),
        kernel=kernel,
        stride=(t, h, w),
        groups=groups,
        act=act,
    )


def _pool(kind: str, window: Triple, stride: Triple, shape: Shape) -> tuple[Layer, ...]:
    axes = [smallest_pool(n, k, s) for n, k, s in zip(shape[:3], window, stride)]
    window, stride = tuple(k for k, _ in axes), tuple(s for _, s in axes)  # type: ignore[assignment]
    if window == stride == (1, 1, 1):
        return ()
    return (
        Pool(
            in_shape=shape,
            out_shape=strided(shape, stride, shape.c),
            kind="max" if kind == "maxpool" else "avg",
            window=window,
            stride=stride,
        ),
    )


def strided(shape: Shape, stride: Triple, width: int) -> Shape:
    """What SAME padding leaves of a shape: ``ceil(size / stride)`` along each axis, ``width`` channels."""
    t, h, w = (-(-n // s) for n, s in zip(shape[:3], stride))
    return Shape(t, h, w, width)


@lru_cache(maxsize=4096)
def smallest_pool(size: int, window: int, stride: int) -> tuple[int, int]:
    """The smallest (window, stride) whose SAME windows hold the same real pixels of an axis of ``size``.

    Padding never counts in a pool, so windows that differ in padding alone are the same pool.
    """
    target = _pool_windows(size, window, stride)
    for k in range(1, window + 1):
        for s in range(1, stride + 1):
            if _pool_windows(size, k, s) == target:
                return k, s
    raise AssertionError("a pool equals itself")


def _pool_windows(size: int, window: int, stride: int) -> list[tuple[int, int]]:
    count = -(-size // stride)
    start = -(max((count - 1) * stride + window - size, 0) // 2)
    return [(max(start + i * stride, 0), min(start + i * stride + window, size)) for i in range(count)]
