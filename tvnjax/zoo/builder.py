"""A chain of units, each receiving what the one before gives; what front ends of published networks share."""

from tvnjax.graph import BN_EPSILON, Conv, Head, Layer, Network, Shape, Triple, Unit
from tvnjax.spaces.tvn.lowering import strided


def conv(
    shape: Shape,
    width: int,
    kernel: Triple = (1, 1, 1),
    stride: Triple = (1, 1, 1),
    *,
    act: str | None = None,
    depthwise: bool = False,
    norm: bool = True,
    centered: bool = False,
    epsilon: float = BN_EPSILON,
) -> Conv:
    """A convolution of ``shape`` to ``width`` channels, without bias."""
    return Conv(
        in_shape=shape,
        out_shape=strided(shape, stride, width),
        kernel=kernel,
        stride=stride,
        groups=shape.c if depthwise else 1,
        act=act,
        norm=norm,
        centered=centered and kernel != (1, 1, 1),
        epsilon=epsilon,
    )


def make_divisible(value: float, divisor: int = 8) -> int:
    """The nearest multiple of ``divisor``, at least one, and never less than nine tenths of ``value`` (MobileNet,
    X3D and MoViNet round their widths so)."""
    rounded = max(divisor, int(value + divisor / 2) // divisor * divisor)
    return rounded + divisor if rounded < 0.9 * value else rounded


class Chain:
    """Collects the units of a network.

    Args:
        num_frames: of the clip.
        image_size: height and width of a frame in pixels.
    """

    def __init__(self, num_frames: int, image_size: int):
        self.input_shape = self.shape = Shape(num_frames, image_size, image_size, 3)
        self.units: list[Unit] = []

    def add(
        self,
        layers: list[Layer],
        *,
        shortcut: tuple[Layer, ...] | None = None,
        act: str | None = None,
        new_block: bool = False,
    ) -> None:
        """Appends a unit; ``new_block`` starts a new block with it, as the first unit does anyway."""
        last = self.units[-1] if self.units else None
        block = 0 if last is None else last.block + new_block
        unit = Unit(
            block=block,
            repeat=0 if last is None or new_block else last.repeat + 1,
            in_shape=self.shape,
            out_shape=layers[-1].out_shape,
            layers=tuple(layers),
            shortcut=shortcut,
            act=act,
        )
        self.units.append(unit)
        self.shape = unit.out_shape

    def network(self, head: Head, frame_stride: int) -> Network:
        """The network with its head."""
        return Network(
            input_shape=self.input_shape,
            frame_stride=frame_stride if self.input_shape.t > 1 else 1,
            units=tuple(self.units),
            head=head,
        )
