"""The spaces that a run's presets search."""

from tvnjax.spaces.tvn.relaxed import OperatorChoices
from tvnjax.spaces.tvn.shapes import BlockShapes, ShapeChoices

QUICK = ShapeChoices(
    image_size=(24,),
    num_frames=(8,),
    blocks=(
        BlockShapes(filters=(16,)),
        BlockShapes(filters=(32,)),
        BlockShapes(temporal_stride=(2,), filters=(48,)),
    ),
)

CLIPS = ShapeChoices(
    image_size=(32,),
    num_frames=(8,),
    blocks=(
        BlockShapes(filters=(16,)),
        BlockShapes(filters=(32,)),
        BlockShapes(spatial_stride=(1,), temporal_stride=(2,), filters=(48,)),
        BlockShapes(filters=(64,)),
    ),
)


def _paper_scale(*widths: tuple[int, ...]) -> ShapeChoices:
    """The paper's ranges (section 3.1) as far as a supernet of them can be trained: 160 of its 32 to 320 px and more,
    16 to 32 frames, 5 to 8 blocks.

    The first four blocks halve the sides, as those of its networks do: without that the largest plan would work at full
    resolution throughout. The longest window, 94 frames, is about the 3 s of a clip of Moments in Time.

    Args:
        widths: tops of the buckets of the first four blocks; the others have those of the fourth.
    """
    strides = ((1, 2), (1,), (1, 2), (1,))
    first = (BlockShapes(temporal_stride=t, repeats=(1, 2), filters=w) for t, w in zip(strides, widths, strict=True))
    late = BlockShapes(spatial_stride=(1, 2), repeats=(1, 2), filters=widths[-1])
    return ShapeChoices(
        image_size=(160, 192, 224),
        num_frames=(16, 24, 32),
        frame_stride=(1, 2, 3),
        num_blocks=(5, 6, 7, 8),
        blocks=(*first, *(late,) * 4),
    )


TVN = _paper_scale((32, 64), (64, 128), (128, 256), (256, 512))
TVN_TPU = _paper_scale((64, 128), (128,), (128, 256), (256, 384, 512))
"""With widths that are multiples of a TPU's 128 lanes where they are most of the arithmetic."""

TVN_OPERATORS = OperatorChoices(temporal_kernel=(1, 3, 5))
"""Without the mobile genes, and with ``expand`` up to 2: activations of the largest plan grow with it."""

PLANTED = ShapeChoices(
    image_size=(8, 16, 32),
    num_frames=(1, 2, 4),
    frame_stride=(1, 2, 4, 8),
    num_blocks=(1, 2, 3),
    blocks=(
        BlockShapes(spatial_stride=(2,), filters=(16,)),
        BlockShapes(spatial_stride=(2,), filters=(24,)),
        BlockShapes(spatial_stride=(1,), filters=(24,)),
    ),
)

PLANTED_OPERATORS = OperatorChoices(
    spatial_kernel=(1, 3), temporal_type=("1d", "maxpool"), width=(0.5, 1.0), squeeze=(0.0, 0.5)
)
