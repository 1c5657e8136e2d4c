"""X3D: a tiny image network expanded along time, space, width and depth.

Source: Feichtenhofer, "X3D: Expanding Architectures for Efficient Video Recognition" (2020), in pytorchvideo's
definition (``create_x3d``): a squeeze-excite layer in every other unit from the first on, between batch normalisation
and swish; no batch normalisation on the strided shortcut of the first stage, whose width does not change.
"""

import math

from tvnjax.graph import Head, Layer, Network, Shape, SqueezeExcite
from tvnjax.zoo.builder import Chain, conv, make_divisible

STAGE_WIDTHS = (12, 24, 48, 96)
STAGE_DEPTHS = (1, 2, 5, 3)
"""Of the unexpanded network X2D; factors multiply them."""
BOTTLENECK_WIDTH = 2.25
SQUEEZE_RATIO = 1 / 16
HEAD_WIDTH = 2048


def x3d(
    *,
    num_frames: int,
    image_size: int,
    num_classes: int,
    frame_stride: int = 5,
    width_factor: float = 2.0,
    depth_factor: float = 2.2,
    bottleneck_width: float = BOTTLENECK_WIDTH,
) -> Network:
    """Lowers an X3D network."""
    chain = Chain(num_frames, image_size)
    stem = _rounded(STAGE_WIDTHS[0], width_factor)
    space = conv(chain.shape, stem, (1, 3, 3), (1, 2, 2), norm=False, centered=True)
    chain.add([space, conv(space.out_shape, stem, (5, 1, 1), act="relu", depthwise=True, centered=True)])
    for width, depth in zip(STAGE_WIDTHS, STAGE_DEPTHS):
        out = _rounded(width, width_factor)
        for repeat in range(math.ceil(depth * depth_factor)):
            stride = 1 if repeat else 2
            layers = _bottleneck(chain.shape, out, int(bottleneck_width * out), stride, squeeze=repeat % 2 == 0)
            chain.add(layers, shortcut=_shortcut(chain.shape, out, stride), act="relu", new_block=not repeat)
    chain.add([conv(chain.shape, int(bottleneck_width * chain.shape.c), act="relu")], new_block=True)
    head = Head(
        in_shape=chain.shape,
        num_classes=num_classes,
        hidden=HEAD_WIDTH,
        hidden_act="relu",
        hidden_bias=False,
    )
    return chain.network(head, frame_stride)


def _bottleneck(shape: Shape, width: int, inner: int, stride: int, *, squeeze: bool) -> list[Layer]:
    wide = conv(shape, inner, act="relu")
    act = None if squeeze else "swish"
    deep = conv(wide.out_shape, inner, (3, 3, 3), (1, stride, stride), act=act, depthwise=True, centered=True)
    layers: list[Layer] = [wide, deep]
    if squeeze:
        hidden = make_divisible(inner * SQUEEZE_RATIO)
        layers.append(SqueezeExcite(in_shape=deep.out_shape, hidden=hidden, act="swish"))
    return [*layers, conv(deep.out_shape, width)]


def _shortcut(shape: Shape, width: int, stride: int) -> tuple[Layer, ...]:
    if stride == 1 and shape.c == width:
        return ()
    return (conv(shape, width, stride=(1, stride, stride), norm=shape.c != width),)


def _rounded(width: int, factor: float) -> int:
    """A width times a factor, to a multiple of 8; a factor of 0 leaves it as it is."""
    return make_divisible(width * factor) if factor else width
