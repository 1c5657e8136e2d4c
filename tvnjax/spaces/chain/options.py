"""What may stand at a position of a chain: layers by a short name, or an own layer."""

import dataclasses
from collections.abc import Callable, Sequence
from functools import partial
from typing import Any, Literal, get_args

from tvnjax.core.errors import InvalidInputError
from tvnjax.graph import Branches, Conv, Layer, Pool, Shape, SqueezeExcite, Triple

Joining = Literal["concat", "sum"]

Make = Callable[[Shape], tuple[Layer, ...]]
"""From the shape that comes in to the layers that stand there."""


@dataclasses.dataclass(frozen=True)
class Option:
    """One thing to choose at a position.

    Two options of one name are the same one.
    """

    name: str
    make: Make = dataclasses.field(compare=False, repr=False)

    def layers(self, in_shape: Shape) -> tuple[Layer, ...]:
        """The layers where arrays of a shape come in; none for the identity."""
        return self.make(in_shape)


def as_option(given: Any) -> Option:
    """An option as it is; of a layer, the layer where it is put.

    Raises:
        InvalidInputError: it is neither.
    """
    if isinstance(given, Option):
        return given
    if isinstance(given, Layer):
        return Option(str(given), partial(_placed, given))
    raise InvalidInputError(
        f"an option of a position is a layer, or made by conv, depthwise, temporal_conv, maxpool, avgpool, "
        f"squeeze_excite, branches or identity; got {type(given).__name__}"
    )


def conv(filters: int, kernel: int = 3, *, stride: int = 1, groups: int = 1, act: str | None = "relu") -> Option:
    """A spatial convolution of ``kernel`` x ``kernel``, batch normalisation, activation."""
    _check(filters=filters, kernel=kernel, stride=stride, groups=groups)

    window, strides = (1, kernel, kernel), (1, stride, stride)
    make = partial(_make_conv, filters, window, strides, groups=groups, act=act)
    return Option(_name("conv", filters, kernel, stride, groups=groups, act=act), make)


def depthwise(filters: int, kernel: int = 3, *, stride: int = 1, act: str | None = "relu") -> Option:
    """A separable convolution: one ``kernel`` x ``kernel`` for each channel, then 1 x 1 to ``filters``; both with batch
    normalisation and activation."""
    _check(filters=filters, kernel=kernel, stride=stride)

    make = partial(_make_separable, filters, (1, kernel, kernel), (1, stride, stride), act)
    return Option(_name("depthwise", filters, kernel, stride, act=act), make)


def temporal_conv(filters: int, kernel: int = 3, *, stride: int = 1, act: str | None = "relu") -> Option:
    """A convolution over ``kernel`` frames, batch normalisation, activation."""
    _check(filters=filters, kernel=kernel, stride=stride)

    make = partial(_make_conv, filters, (kernel, 1, 1), (stride, 1, 1), act=act)
    return Option(_name("temporal_conv", filters, kernel, stride, act=act), make)


def maxpool(kernel: int = 2, *, stride: int = 1) -> Option:
    """The largest value of ``kernel`` x ``kernel`` pixels."""
    return _pool("max", kernel, stride)


def avgpool(kernel: int = 2, *, stride: int = 1) -> Option:
    """The mean of ``kernel`` x ``kernel`` pixels."""
    return _pool("avg", kernel, stride)


def squeeze_excite(ratio: float = 0.25) -> Option:
    """Gates of channels from a hidden layer of ``ratio`` times the channels, at least one."""
    if not 0 < ratio <= 1:
        raise InvalidInputError(f"squeeze_excite has a ratio in (0, 1]; got {ratio}")

    return Option(f"squeeze_excite {ratio:g}", partial(_make_gate, ratio))


def branches(*chains: Any, how: str = "concat") -> Option:
    """Chains of layers side by side on what comes in, as EvaNet's and Inception's modules have them.

    Args:
        chains: each an option, an own layer, or a list of them that follow one another.
        how: ``concat`` puts their channels one behind the other, ``sum`` adds them.

    Raises:
        InvalidInputError: there is no chain, one holds no option, or ``how`` is neither.
    """
    if how not in get_args(Joining) or not chains:
        raise InvalidInputError(
            f"branches are one or more chains, joined by {' or '.join(get_args(Joining))}; got {len(chains)} chains "
            f"and {how!r:.60}"
        )
    told = tuple(tuple(map(as_option, chain if isinstance(chain, list | tuple) else (chain,))) for chain in chains)
    inside = " | ".join(", ".join(option.name for option in chain) for chain in told)
    return Option(f"{how} [{inside}]", partial(_make_branches, told, how))


def identity() -> Option:
    """What comes in."""
    return Option("identity", _make_nothing)


def _pool(kind: Any, kernel: int, stride: int) -> Option:
    _check(kernel=kernel, stride=stride)

    make = partial(_make_pool, kind, (1, kernel, kernel), (1, stride, stride))
    return Option(f"{kind}pool {kernel}" + (f" /{stride}" if stride > 1 else ""), make)


# Functions of the module, so that options can be sent to workers.


def _placed(layer: Layer, shape: Shape) -> tuple[Layer, ...]:
    return (layer.placed(shape),)


def _make_branches(chains: Sequence[Sequence[Option]], how: Any, shape: Shape) -> tuple[Layer, ...]:
    made = []
    for chain in chains:
        layers: list[Layer] = []
        for option in chain:
            layers += option.layers(layers[-1].out_shape if layers else shape)
        made.append(tuple(layers))
    return (Branches(in_shape=shape, branches=tuple(made), how=how),)


def _make_nothing(shape: Shape) -> tuple[Layer, ...]:
    return ()


def _make_conv(
    filters: int, window: Triple, stride: Triple, shape: Shape, *, groups: int = 1, act: str | None = "relu"
) -> tuple[Layer, ...]:
    if shape.c % groups or filters % groups:
        raise InvalidInputError(f"groups divide the channels; {groups} do not divide {shape.c} and {filters}")
    return (_conv(shape, filters, window, stride, groups=groups, act=act),)


def _make_separable(filters: int, window: Triple, stride: Triple, act: str | None, shape: Shape) -> tuple[Layer, ...]:
    first = _conv(shape, shape.c, window, stride, groups=shape.c, act=act)
    return first, _conv(first.out_shape, filters, (1, 1, 1), (1, 1, 1), act=act)


def _make_gate(ratio: float, shape: Shape) -> tuple[Layer, ...]:
    return (SqueezeExcite(in_shape=shape, hidden=max(1, round(shape.c * ratio))),)


def _make_pool(kind: Any, window: Triple, stride: Triple, shape: Shape) -> tuple[Layer, ...]:
    return (Pool(in_shape=shape, out_shape=_shape(shape, shape.c, stride), kind=kind, window=window, stride=stride),)


def _conv(shape: Shape, filters: int, kernel: Triple, stride: Triple, **options: Any) -> Conv:
    return Conv(in_shape=shape, out_shape=_shape(shape, filters, stride), kernel=kernel, stride=stride, **options)


def _shape(shape: Shape, channels: int, stride: Triple) -> Shape:
    t, h, w = (-(-size // by) for size, by in zip(shape, stride))
    return Shape(t, h, w, channels)


def _name(kind: str, filters: int, kernel: int, stride: int, *, groups: int = 1, act: str | None = "relu") -> str:
    tail = (f" /{stride}" if stride > 1 else "") + (f" in {groups} groups" if groups > 1 else "")
    return f"{kind} {kernel} > {filters}{tail}" + ("" if act == "relu" else f" {act or 'linear'}")


def _check(**values: int) -> None:
    for name, value in values.items():
        if isinstance(value, bool) or not isinstance(value, int) or value < 1:
            raise InvalidInputError(f"{name} is a whole number of at least 1; got {value!r:.60}")
