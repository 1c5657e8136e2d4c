"""R(2+1)D: residual networks whose 3x3x3 convolutions are split into space and time.

Source: Tran et al., "A Closer Look at Spatiotemporal Convolutions for Action Recognition" (2018), in torchvision's
definition (``torchvision.models.video``: ``VideoResNet`` with ``Conv2Plus1D``). torchvision publishes the network of 18
layers; those of 34 (``BasicBlock``) and 50 (``Bottleneck``) put the usual 3, 4, 6 and 3 blocks into the same class. The
(2+1)D ResNets that the Tiny Video Networks paper compares with have no published definition; these stand in for them.
"""

from tvnjax.graph import Conv, Head, Network, Shape
from tvnjax.zoo.builder import Chain, conv

STAGE_WIDTHS = (64, 128, 256, 512)
BLOCKS = {18: (2, 2, 2, 2), 34: (3, 4, 6, 3), 50: (3, 4, 6, 3)}
BOTTLENECK_EXPANSION = 4


def r2plus1d(
    *,
    num_frames: int,
    image_size: int,
    num_classes: int,
    frame_stride: int = 2,
    blocks: tuple[int, ...] = BLOCKS[18],
    bottleneck: bool = False,
) -> Network:
    """Lowers an R(2+1)D network; ``blocks`` counts those of each stage."""
    chain = Chain(num_frames, image_size)
    stem = conv(chain.shape, 45, (1, 7, 7), (1, 2, 2), act="relu", centered=True)
    chain.add([stem, conv(stem.out_shape, 64, (3, 1, 1), act="relu", centered=True)])
    for stage, (width, count) in enumerate(zip(STAGE_WIDTHS, blocks)):
        for repeat in range(count):
            stride = 2 if stage and not repeat else 1
            layers = _bottleneck(chain.shape, width, stride) if bottleneck else _basic(chain.shape, width, stride)
            out = layers[-1].out_shape.c
            same = stride == 1 and chain.shape.c == out
            shortcut = () if same else (conv(chain.shape, out, stride=(stride, stride, stride)),)
            chain.add([*layers], shortcut=shortcut, act="relu", new_block=not repeat)
    return chain.network(Head(in_shape=chain.shape, num_classes=num_classes, dropout=0.0), frame_stride)


def _basic(shape: Shape, width: int, stride: int) -> list[Conv]:
    middle = _middle(shape.c, width)
    first = _split(shape, width, middle, stride, act="relu")
    return [*first, *_split(first[-1].out_shape, width, middle, 1)]


def _bottleneck(shape: Shape, width: int, stride: int) -> list[Conv]:
    narrow = conv(shape, width, act="relu")
    split = _split(narrow.out_shape, width, _middle(shape.c, width), stride, act="relu")
    return [narrow, *split, conv(split[-1].out_shape, width * BOTTLENECK_EXPANSION)]


def _split(shape: Shape, width: int, middle: int, stride: int, act: str | None = None) -> list[Conv]:
    """A 3x3x3 convolution as 3x3 in space to ``middle`` channels, then 3 in time."""
    space = conv(shape, middle, (1, 3, 3), (1, stride, stride), act="relu", centered=True)
    return [space, conv(space.out_shape, width, (3, 1, 1), (stride, 1, 1), act=act, centered=True)]


def _middle(c_in: int, width: int) -> int:
    """Channels between the two, so that they have as many weights as the 3x3x3 convolution (section 3.5); from what
    the *block* receives, for all its convolutions, as torchvision has it."""
    return (c_in * width * 27) // (c_in * 9 + 3 * width)
