"""Clips drawn by a program so that the best value of a shape gene is known: a search can be checked against them.

Every set has four balanced classes. Its ``answer`` names shape genes and the values of each that are right: with one of
them (of each gene, where it names several) a small network learns the set in a few hundred steps, and with any other
value it either cannot, because the frames and pixels it reads have the same distribution for every class, or it can at
a higher cost and gains nothing. So a search whose objective counts cost should end at the answer. Genes an answer does
not name are free, though some of their values may serve better than others.

The sets without motion are one picture, noise included, repeated: their frames are identical. The others have noise of
its own in every frame.

==================  ====================================  ============================================================
set                 answer (32 px clips of 16 frames)     why nothing else is better
==================  ====================================  ============================================================
static_shape        num_frames 1, 2                       all frames are the same picture: more only cost more
motion_direction    num_frames 2, 4, 8                    one frame has the same distribution in every class
slow_motion         num_frames 2, 4; frame_stride 4, 8    a shake of period 8 hides the drift: windows above 8 frames
fast_oscillation    num_frames 2, 4, 8; frame_stride 1    frames 2, 4 or 8 apart are the same in every class
fine_texture        image_size 32                         averaging 2 x 2 pixels leaves the same grey in every class
coarse_blobs        image_size 8                          the 8 px average holds all there is to know of the class
one_block           num_blocks 1                          the mean colour decides, which is linear: depth adds nothing
appearing           num_frames 2, 4; frame_stride 4, 8    what a light did 8 frames ago decides: windows above 8 frames
small_mark          image_size 32                         averaging 2 x 2 pixels leaves the same dot in every class
==================  ====================================  ============================================================

The last two are held out: nothing in a search is to be tuned on them.
"""

from dataclasses import dataclass
from typing import Literal, get_args

import numpy as np

from tvnjax.core.errors import InvalidInputError, did_you_mean
from tvnjax.data.checks import check_integer
from tvnjax.data.planted_scenes import SCENES
from tvnjax.data.procedural import check_classes, drawn_recipe
from tvnjax.data.recipe import SPLITS, Progress, Recipe

PlantedTask = Literal[
    "static_shape",
    "motion_direction",
    "slow_motion",
    "fast_oscillation",
    "fine_texture",
    "coarse_blobs",
    "one_block",
    "appearing",
    "small_mark",
]
HELD_OUT: tuple[PlantedTask, ...] = ("appearing", "small_mark")
"""Sets on which a finished search is checked once, and nothing is tuned."""


@dataclass(frozen=True, kw_only=True)
class PlantedData:
    """Clips drawn by a program, whose best shape is known."""

    task: PlantedTask = "motion_direction"
    """Which set: static_shape, motion_direction, slow_motion, ...; appearing and small_mark are held out."""
    train_clips: int = 1024
    """Clips to train on; the four classes are balanced to within one clip."""
    val_clips: int = 256
    """Clips to choose by."""
    test_clips: int = 512
    """Clips to report on."""
    num_frames: int = 16
    """Frames stored per clip; at least the frames a network spans, (num_frames - 1) * frame_stride + 1."""
    size: int = 32
    """Side of the stored frames in pixels, a multiple of 8; at least the largest image size a network reads."""
    seed: int = 0
    """Draws other clips of the same kind."""

    def __post_init__(self) -> None:
        if self.task not in get_args(PlantedTask):
            raise InvalidInputError(
                f"task must be one of {', '.join(get_args(PlantedTask))}, got {self.task!r}"
                f"{did_you_mean(str(self.task), get_args(PlantedTask))}; choose one of them"
            )
        for name in ("train_clips", "val_clips", "test_clips"):
            check_integer(f"{name} (there are 4 classes)", getattr(self, name), 4)
        check_integer("num_frames of the stored clips", self.num_frames, 1)
        if check_integer("size", self.size, 16) % 8:
            raise InvalidInputError(f"size must be a multiple of 8, got {self.size}; 32 is what the answers are for")
        check_integer("seed", self.seed, 0)

    @property
    def class_names(self) -> tuple[str, ...]:
        """One name per label."""
        return SCENES[self.task][1]

    @property
    def clip_frames(self) -> int | None:
        """Frames every clip has."""
        return self.num_frames

    @property
    def answer(self) -> dict[str, tuple[int, ...]]:
        """Shape genes that have a best value, and the values that are right; why is said at the top of this module.

        Frames and strides hold for 16 stored frames. Those of ``slow_motion`` and ``appearing`` are right together: a
        window must be above 8 frames, as that of 2 frames 8 apart (the cheaper) or 4 frames 4 apart;
        2 frames 4 apart are at chance. (8 frames 2 apart reach as far, but cost most, and are hard to learn from.)
        """
        return {
            # All frames are one picture, so one frame is enough and a few more are only waste.
            "static_shape": {"num_frames": (1, 2)},
            # Each frame alone is distributed the same in every class; two are not.
            "motion_direction": {"num_frames": (2, 4, 8)},
            # Only frames 8 apart share their shake.
            "slow_motion": {"num_frames": (2, 4), "frame_stride": (4, 8)},
            # Frames an even number apart are the same in every class.
            "fast_oscillation": {"num_frames": (2, 4, 8), "frame_stride": (1,)},
            # Any averaging over pairs of pixels leaves even grey.
            "fine_texture": {"image_size": (self.size,)},
            # Means of cells of an eighth of the side are a sufficient statistic.
            "coarse_blobs": {"image_size": (8,)},
            # The mean colour is a sufficient statistic, and the classes are linear in it.
            "one_block": {"num_blocks": (1,)},
            # Only frames 8 apart depend on each other.
            "appearing": {"num_frames": (2, 4), "frame_stride": (4, 8)},
            # A mark's pixels average to the same dot.
            "small_mark": {"image_size": (self.size,)},
        }[self.task]

    def recipe(
        self,
        *,
        num_frames: int,
        frame_stride: int,
        image_size: int,
        classes: tuple[str, ...] | None = None,
        required: tuple[str, ...] = SPLITS,
        progress: Progress | None = None,
    ) -> Recipe:
        """Returns how to draw the clips; see :class:`tvnjax.data.recipe.ClipSource`."""
        check_classes(self, classes)
        return drawn_recipe(
            self, "planted", draw_clip, num_frames=num_frames, frame_stride=frame_stride, image_size=image_size
        )


def draw_clip(config: PlantedData, split: str, index: int) -> np.ndarray:
    """Draws clip ``index`` of a split: uint8 [num_frames, size, size, 3]. Its label is ``index`` modulo 4.

    Each clip has a random stream of its own, so it does not depend on how many others are drawn.
    """
    rng = np.random.default_rng([config.seed, SPLITS.index(split), index])
    return SCENES[config.task][0](rng, index % 4, config.num_frames, config.size).astype(np.uint8)
