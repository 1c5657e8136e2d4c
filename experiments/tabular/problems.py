"""The problems whose every network is recorded: clips, space and short training of each table.

Settings of searches are chosen on ``motion_direction``; ``motion_shape``, larger and harder, is looked at to report.
"""

import dataclasses
from pathlib import Path

from tvnjax.data.planted import PlantedData
from tvnjax.data.procedural import ProceduralData
from tvnjax.running.config import RunConfig
from tvnjax.spaces.tvn.relaxed import OperatorChoices
from tvnjax.spaces.tvn.shapes import BlockShapes, ShapeChoices
from tvnjax.trainers.optim import Optimizer
from tvnjax.trainers.trainer import Training

FOLDER = Path(__file__).parent

_OPERATORS = OperatorChoices(
    spatial_type=("std", "depth", "maxpool"),
    spatial_kernel=(3,),
    temporal_type=("1d",),
    temporal_kernel=(1, 3),
    width=(0.5, 1.0),
    expand=(1,),
    squeeze=(0.0,),
    context_gate=(False,),
    skip=(False,),
)
_PROXY = Training(steps=135, batch_size=32, optimizer=Optimizer(learning_rate=1e-2))


@dataclasses.dataclass(frozen=True, kw_only=True)
class Problem:
    """What a table is a table of."""

    about: str
    """The space and the clips, as a sentence goes on behind "networks: "."""
    config: RunConfig


PROBLEMS: dict[str, Problem] = {
    "motion_direction": Problem(
        about="two blocks, each of a spatial operator (convolution, depthwise convolution, max pool), with or without "
        "a temporal convolution, half or full width, over 8 or 16 pixels and 2 or 4 frames; the four directions of "
        "motion of a planted set. Latency in XLA",
        config=RunConfig(
            data=PlantedData(task="motion_direction", train_clips=1024, val_clips=256, test_clips=256),
            shapes=ShapeChoices(
                image_size=(8, 16),
                num_frames=(2, 4),
                frame_stride=(2,),
                blocks=(BlockShapes(filters=(8,)), BlockShapes(filters=(16,))),
            ),
            operators=_OPERATORS,
            proxy=_PROXY,
        ),
    ),
    "motion_shape": Problem(
        about="two blocks of the same operators, half or full width, the first striding or not, over 8, 16 or 24 "
        "pixels and 2 or 4 frames; eight classes, a direction and a shape, on textured ground. Latency in ONNX Runtime",
        config=RunConfig(
            data=ProceduralData(task="motion_shape", train_clips=1536, val_clips=512, test_clips=512, size=24),
            shapes=ShapeChoices(
                image_size=(8, 16, 24),
                num_frames=(2, 4),
                frame_stride=(2,),
                blocks=(BlockShapes(spatial_stride=(1, 2), filters=(12,)), BlockShapes(filters=(24,))),
            ),
            operators=_OPERATORS,
            proxy=_PROXY,
            runtime="onnxruntime",
        ),
    ),
}


def table_of(name: str) -> Path:
    """Where a problem's table is."""
    return FOLDER / f"{name}.jsonl"


def card_of(name: str) -> Path:
    """The page about it."""
    return FOLDER / ("README.md" if name == "motion_direction" else f"{name}.md")
