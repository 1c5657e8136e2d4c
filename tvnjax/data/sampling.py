"""From stored clips to a batch: which frames, which crop, which size."""

import functools
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from tvnjax.core.errors import InvalidInputError
from tvnjax.data.checks import check_integer, window_length
from tvnjax.data.clips import ClipSet
from tvnjax.data.spans import window_starts


@dataclass(frozen=True, kw_only=True)
class ClipSampler:
    """Turns stored clips into arrays; frames stay uint8 (a quarter of the bytes to move; normalise on the device)."""

    num_frames: int
    frame_stride: int
    image_size: int
    stored_size: int
    shift: int
    flip: bool

    @classmethod
    def of(cls, clips: ClipSet, *, num_frames: int, frame_stride: int, image_size: int) -> "ClipSampler":
        """Returns the sampler for a set.

        Raises:
          InvalidInputError: the set was prepared for shorter windows or smaller images.
        """
        window = window_length(num_frames, frame_stride)
        if window > clips.window:
            raise InvalidInputError(
                f"{num_frames} frames {frame_stride} apart span {window} frames, but the clips of {clips.name!r} were "
                f"prepared for {clips.window}; prepare them for the largest clip any network reads"
            )
        if check_integer("image_size", image_size, 1) > clips.image_size:
            raise InvalidInputError(
                f"image_size {image_size} is larger than the {clips.image_size} pixels the clips of {clips.name!r} "
                "were prepared for; prepare them for the largest image any network reads"
            )
        return cls(
            num_frames=num_frames,
            frame_stride=frame_stride,
            image_size=image_size,
            stored_size=clips.size,
            shift=clips.shift,
            flip=clips.flip,
        )

    def centred(self, records: Sequence[Mapping[str, Any]]) -> dict[str, np.ndarray]:
        """Returns the centred window and crop of each clip: ``clip`` uint8 [b, t, s, s, 3], ``label`` int32 [b]."""
        _, centre, _ = self._starts(records)
        return self._cut(records, centre, np.full((len(records), 2), self.shift))

    def random(self, records: Sequence[Mapping[str, Any]], rng: np.random.Generator) -> dict[str, np.ndarray]:
        """Like :meth:`centred`, with a random window, and a random crop and mirroring where the set allows them."""
        first, _, last = self._starts(records)
        starts = rng.integers(first, last, endpoint=True)
        corners = rng.integers(0, 2 * self.shift, (len(records), 2), endpoint=True)
        batch = self._cut(records, starts, corners)
        if self.flip:
            mirrored = rng.random(len(records)) < 0.5
            batch["clip"][mirrored] = batch["clip"][mirrored, :, :, ::-1]
        return batch

    def _starts(self, records: Sequence[Mapping[str, Any]]) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        span = np.stack([record["span"] for record in records])
        valid = np.stack([record["valid"] for record in records])
        return window_starts(span, valid, window_length(self.num_frames, self.frame_stride))

    def _cut(
        self, records: Sequence[Mapping[str, Any]], starts: np.ndarray, corners: np.ndarray
    ) -> dict[str, np.ndarray]:
        side = self.stored_size - 2 * self.shift
        reach = window_length(self.num_frames, self.frame_stride)
        clips = np.empty((len(records), self.num_frames, side, side, 3), np.uint8)
        for i, (start, (top, left)) in enumerate(zip(starts.tolist(), corners.tolist())):
            frames = records[i]["clip"][start : start + reach : self.frame_stride]
            clips[i] = frames[:, top : top + side, left : left + side]
        labels = np.array([record["label"] for record in records], np.int32)
        return {"clip": area_resize(clips, self.image_size), "label": labels}


def area_resize(images: np.ndarray, size: int) -> np.ndarray:
    """Shrinks uint8 [..., side, side, 3] to uint8 [..., size, size, 3]; each new pixel averages the area it covers.

    Two matrix products: for many small images on two cores faster than scaling them one by one with a library.
    """
    side = images.shape[-2]
    if size == side:
        return images
    weights = area_weights(side, size)
    rows = weights @ images.reshape(-1, side, side * 3).astype(np.float32)  # [n, size, side * 3]
    pixels = weights @ rows.reshape(-1, side, 3)  # [n * size, size, 3]
    return np.rint(pixels).astype(np.uint8).reshape(*images.shape[:-3], size, size, 3)


@functools.lru_cache
def area_weights(side: int, size: int) -> np.ndarray:
    """Returns float32 [size, side]: the share of each old pixel in each new one; rows sum to 1."""
    edges = np.arange(size + 1) * side / size
    old = np.arange(side)
    overlap = np.minimum(edges[1:, None], old + 1) - np.maximum(edges[:-1, None], old)
    return (np.clip(overlap, 0, None) * size / side).astype(np.float32)
