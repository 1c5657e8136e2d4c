"""Clips drawn by a program: a textured shape that drifts over a noisy background and wraps round at the edges.

Every clip has three factors (direction of motion, shape, texture); a task says which of them make up the label and
leaves the others to chance. The start is uniform on the wrapped frame, so each single frame has the same distribution
whatever the direction: a network that sees one frame, or does not know their order, cannot beat one in four on the
direction, nor 25 % on ``motion_shape``.
"""

import itertools
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from typing import Any, ClassVar, Literal, Protocol, TypeVar, get_args

import numpy as np

from tvnjax.core.errors import InvalidInputError, did_you_mean
from tvnjax.data.checks import check_integer, window_length
from tvnjax.data.recipe import SPLITS, Clip, Progress, Recipe, fingerprint

Task = Literal["motion", "shape", "texture", "motion_shape", "motion_shape_texture"]

_DIRECTIONS = {"right": (0, 1), "down": (1, 0), "left": (0, -1), "up": (-1, 0)}  # (y, x)
_SHAPES = ("disc", "cross")
_TEXTURES = ("plain", "striped", "checked")
_FACTORS = {"motion": tuple(_DIRECTIONS), "shape": _SHAPES, "texture": _TEXTURES}


@dataclass(frozen=True, kw_only=True)
class ProceduralData:
    """Clips drawn by a program; no file is read."""

    task: Task = "motion_shape"
    """What the label says: a direction (4), a shape (2), a texture (3), or a combination (8 and 24 classes)."""
    train_clips: int = 4000
    """Clips to train on; classes are balanced to within one clip."""
    val_clips: int = 1000
    """Clips to choose by."""
    test_clips: int = 1000
    """Clips to report on."""
    num_frames: int = 16
    """Frames stored per clip; at least the frames a network spans, (num_frames - 1) * frame_stride + 1."""
    size: int = 32
    """Side of the stored frames in pixels; at least the largest image size a network reads."""
    seed: int = 0
    """Draws other clips of the same kind."""

    def __post_init__(self) -> None:
        if self.task not in get_args(Task):
            raise InvalidInputError(
                f"task must be one of {', '.join(get_args(Task))}, got {self.task!r}"
                f"{did_you_mean(str(self.task), get_args(Task))}; choose one of them"
            )
        classes = len(self.class_names)
        for name in ("train_clips", "val_clips", "test_clips"):
            check_integer(f"{name} (task {self.task} has {classes} classes)", getattr(self, name), classes)
        check_integer("num_frames of the stored clips", self.num_frames, 1)
        check_integer("size", self.size, 16)  # below 16 pixels a disc and a cross are the same blob
        check_integer("seed", self.seed, 0)

    @property
    def class_names(self) -> tuple[str, ...]:
        """One name per label: the label's factors joined by a space, as in ``right disc``."""
        names = itertools.product(*(_FACTORS[factor] for factor in self.task.split("_")))
        return tuple(" ".join(parts) for parts in names)

    @property
    def clip_frames(self) -> int | None:
        """Frames every clip has."""
        return self.num_frames

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
            self, "procedural", draw_clip, num_frames=num_frames, frame_stride=frame_stride, image_size=image_size
        )


class DrawnConfig(Protocol):
    """What configurations of drawn clips share; they are dataclasses."""

    __dataclass_fields__: ClassVar[dict[str, Any]]

    @property
    def task(self) -> str: ...
    @property
    def class_names(self) -> tuple[str, ...]: ...
    @property
    def train_clips(self) -> int: ...
    @property
    def val_clips(self) -> int: ...
    @property
    def test_clips(self) -> int: ...
    @property
    def num_frames(self) -> int: ...
    @property
    def size(self) -> int: ...


Config = TypeVar("Config", bound=DrawnConfig)


def check_classes(config: DrawnConfig, classes: tuple[str, ...] | None) -> None:
    """Raises InvalidInputError unless ``classes`` is None or those that are drawn, in their order."""
    if classes is not None and classes != config.class_names:
        drawn, asked = (
            f"{len(names)} classes ({', '.join(names[:4]):.200})" for names in (config.class_names, classes)
        )
        raise InvalidInputError(
            f"clips drawn for {config.task} have {drawn}, but {asked} were asked for; name the task the network was "
            "trained on, or train it on this one first (tvnjax train --init)"
        )


def drawn_recipe(
    config: Config,
    kind: str,
    draw: Callable[[Config, str, int], np.ndarray],
    *,
    num_frames: int,
    frame_stride: int,
    image_size: int,
) -> Recipe:
    """Returns the recipe of clips that ``draw(config, split, index)`` draws; labels go round with the index.

    Args:
      kind: keeps fingerprints of configurations with the same fields apart.

    Raises:
      InvalidInputError: more frames or pixels are asked for than are drawn.
    """
    window = window_length(num_frames, frame_stride)
    if window > config.num_frames:
        raise InvalidInputError(
            f"{num_frames} frames {frame_stride} apart span {window} frames, but the clips are drawn with "
            f"{config.num_frames}; set --data.num-frames to {window} or more"
        )
    if check_integer("image_size", image_size, 1) > config.size:
        raise InvalidInputError(
            f"image_size {image_size} is larger than the drawn frames of {config.size} pixels; "
            f"set --data.size to {image_size} or more"
        )
    planned: dict[str, int] = dict(zip(SPLITS, (config.train_clips, config.val_clips, config.test_clips)))
    whole = (0, config.num_frames)

    def read(split: str) -> Iterator[Clip]:
        for i in range(planned[split]):
            label = i % len(config.class_names)
            yield Clip(pixels=draw(config, split, i), label=label, name=f"{split}/{i}", span=whole, valid=whole)

    return Recipe(
        name=config.task,
        class_names=config.class_names,
        fingerprint=fingerprint({kind: asdict(config)}),
        frames=config.num_frames,
        window=config.num_frames,
        size=config.size,
        shift=0,
        flip=False,  # mirroring turns left into right; shapes drift, so nothing is gained elsewhere
        planned=planned,
        read=read,
    )


def draw_clip(config: ProceduralData, split: str, index: int) -> np.ndarray:
    """Draws clip ``index`` of a split: uint8 [num_frames, size, size, 3]. Its label is ``index`` modulo the classes.

    Each clip has a random stream of its own, so it does not depend on how many others are drawn.
    """
    rng = np.random.default_rng([config.seed, SPLITS.index(split), index])
    factors = {name: values[rng.integers(len(values))] for name, values in _FACTORS.items()}
    label = config.class_names[index % len(config.class_names)]
    factors.update(zip(config.task.split("_"), label.split(" ")))

    side = config.size
    radius = side * rng.uniform(0.18, 0.24)
    speed = side / 32 * rng.uniform(1.0, 2.0)  # pixels per frame
    velocity = speed * np.array(_DIRECTIONS[factors["motion"]])
    centres = rng.uniform(0, side, 2) + np.arange(config.num_frames)[:, None] * velocity  # [t, 2]
    offsets = (np.arange(side) - centres[..., None] + side / 2) % side - side / 2  # [t, 2, side], wrapped
    dy, dx = offsets[:, 0, :, None], offsets[:, 1, None, :]
    # One pixel of soft edge lets the shape move by fractions of a pixel.
    mask = np.clip(0.5 - _distance(factors["shape"], dy, dx, radius), 0, 1)
    ink = mask * _texture(factors["texture"], dy, dx, period=radius * 0.8)  # [t, side, side]

    grey = rng.uniform(0.35, 0.65)
    contrast = rng.choice([-1, 1]) * rng.uniform(0.22, 0.34) + rng.uniform(-0.08, 0.08, 3)  # per colour
    patches = grey + rng.normal(0, 0.06, (4, 4, 3))
    cells = np.arange(side) * 4 // side
    background = patches[cells[:, None], cells[None, :]].astype(np.float32)  # [side, side, 3]
    paint = (grey + contrast).astype(np.float32) - background
    scene = rng.standard_normal((config.num_frames, side, side, 3), dtype=np.float32)
    scene *= 0.06
    scene += background
    scene += ink.astype(np.float32)[..., None] * paint
    return np.rint(np.clip(scene, 0, 1, out=scene) * 255).astype(np.uint8)


def _distance(shape: str, dy: np.ndarray, dx: np.ndarray, radius: float) -> np.ndarray:
    """Returns the distance to the outline in pixels, negative inside; both shapes cover about the same area."""
    if shape == "disc":
        return np.hypot(dy, dx) - radius
    long, short = 1.3 * radius, 0.37 * radius
    upright = np.maximum(abs(dy) - long, abs(dx) - short)
    flat = np.maximum(abs(dy) - short, abs(dx) - long)
    return np.minimum(upright, flat)


def _texture(texture: str, dy: np.ndarray, dx: np.ndarray, period: float) -> np.ndarray:
    """Returns how much ink each place of the shape takes, 0.25 to 1; the texture travels with the shape."""
    if texture == "plain":
        return np.ones_like(dy + dx)
    diagonal = np.sin(2 * np.pi / period * (dy + dx))
    wave = diagonal if texture == "striped" else diagonal * np.sin(2 * np.pi / period * (dy - dx))
    return np.where(wave > 0, 1.0, 0.25)
