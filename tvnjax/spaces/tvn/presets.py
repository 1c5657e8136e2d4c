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
