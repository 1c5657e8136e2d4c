"""MobileNetV3 on every frame, and the largest of each feature over time.

Source: Howard et al., "Searching for MobileNetV3" (2019), tables 1 and 2, in torchvision's definition (its padding, its
squeeze widths, batch normalisation's epsilon 1e-3). The Tiny Video Networks paper runs it per frame; with one frame
this is the image network. Features behind the head's hidden layer are pooled, so the layer of classes runs once a clip.
"""

from typing import NamedTuple

from tvnjax.graph import Head, Layer, Network, SqueezeExcite
from tvnjax.zoo.builder import Chain, conv, make_divisible

EPSILON = 1e-3
DROPOUT = 0.2


class Bottleneck(NamedTuple):
    """One row of the tables."""

    kernel: int
    expanded: int
    out: int
    squeeze: bool
    act: str
    stride: int


LARGE = (
    Bottleneck(3, 16, 16, False, "relu", 1),
    Bottleneck(3, 64, 24, False, "relu", 2),
    Bottleneck(3, 72, 24, False, "relu", 1),
    Bottleneck(5, 72, 40, True, "relu", 2),
    Bottleneck(5, 120, 40, True, "relu", 1),
    Bottleneck(5, 120, 40, True, "relu", 1),
    Bottleneck(3, 240, 80, False, "hswish", 2),
    Bottleneck(3, 200, 80, False, "hswish", 1),
    Bottleneck(3, 184, 80, False, "hswish", 1),
    Bottleneck(3, 184, 80, False, "hswish", 1),
    Bottleneck(3, 480, 112, True, "hswish", 1),
    Bottleneck(3, 672, 112, True, "hswish", 1),
    Bottleneck(5, 672, 160, True, "hswish", 2),
    Bottleneck(5, 960, 160, True, "hswish", 1),
    Bottleneck(5, 960, 160, True, "hswish", 1),
)
SMALL = (
    Bottleneck(3, 16, 16, True, "relu", 2),
    Bottleneck(3, 72, 24, False, "relu", 2),
    Bottleneck(3, 88, 24, False, "relu", 1),
    Bottleneck(5, 96, 40, True, "hswish", 2),
    Bottleneck(5, 240, 40, True, "hswish", 1),
    Bottleneck(5, 240, 40, True, "hswish", 1),
    Bottleneck(5, 120, 48, True, "hswish", 1),
    Bottleneck(5, 144, 48, True, "hswish", 1),
    Bottleneck(5, 288, 96, True, "hswish", 2),
    Bottleneck(5, 576, 96, True, "hswish", 1),
    Bottleneck(5, 576, 96, True, "hswish", 1),
)
HIDDEN_LARGE, HIDDEN_SMALL = 1280, 1024
"""Width of the head's hidden layer."""


def mobilenetv3(
    *,
    num_frames: int,
    image_size: int,
    num_classes: int,
    frame_stride: int = 2,
    table: tuple[Bottleneck, ...] = LARGE,
    hidden: int = HIDDEN_LARGE,
) -> Network:
    """Lowers MobileNetV3 run on each frame."""
    chain = Chain(num_frames, image_size)
    chain.add([conv(chain.shape, 16, (1, 3, 3), (1, 2, 2), act="hswish", centered=True, epsilon=EPSILON)])
    for row in table:
        layers: list[Layer] = []
        shape = chain.shape
        if row.expanded != shape.c:
            layers.append(conv(shape, row.expanded, act=row.act, epsilon=EPSILON))
            shape = layers[-1].out_shape
        kernel, stride = (1, row.kernel, row.kernel), (1, row.stride, row.stride)
        layers.append(conv(shape, shape.c, kernel, stride, act=row.act, depthwise=True, centered=True, epsilon=EPSILON))
        shape = layers[-1].out_shape
        if row.squeeze:
            squeezed = make_divisible(shape.c // 4)
            layers.append(SqueezeExcite(in_shape=shape, hidden=squeezed, gate="hsigmoid", per_frame=True))
        layers.append(conv(shape, row.out, epsilon=EPSILON))
        same = row.stride == 1 and chain.shape.c == row.out
        chain.add(layers, shortcut=() if same else None, new_block=row.stride > 1)
    chain.add([conv(chain.shape, 6 * chain.shape.c, act="hswish", epsilon=EPSILON)], new_block=True)
    head = Head(
        in_shape=chain.shape,
        num_classes=num_classes,
        pool="max_features",
        dropout=DROPOUT,
        hidden=hidden,
        hidden_act="hswish",
    )
    return chain.network(head, frame_stride)
