"""Batches of whole stored clips, from which many plans cut their own frames and pixels.

A search over shapes runs plans with different image sizes, frames and frame strides on the same clips. So the loader
hands out every stored frame, cropped and mirrored already, and a :class:`PlanView` says which of them a plan reads:
the starts are drawn here on the host, the frames are cut and shrunk on the device (``tvnjax.data.device_crop``).
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from tvnjax.core.errors import InvalidInputError
from tvnjax.data.checks import check_integer, window_length
from tvnjax.data.clips import ClipSet
from tvnjax.data.loader import Stream, one_pass
from tvnjax.data.spans import window_starts


@dataclass(frozen=True, kw_only=True)
class PlanView:
    """What a plan reads of a stored clip."""

    num_frames: int
    frame_stride: int
    image_size: int
    """Side in pixels, at most that of the crops."""

    def __post_init__(self) -> None:
        window_length(self.num_frames, self.frame_stride)
        check_integer("image_size", self.image_size, 1)

    @property
    def window(self) -> int:
        """Frames from the first one read to the last."""
        return window_length(self.num_frames, self.frame_stride)

    def starts(self, batch: Mapping[str, np.ndarray], rng: np.random.Generator | None) -> np.ndarray:
        """Returns the first frame to read of each clip, int32 [b]: drawn by ``rng`` as training windows are, or for
        None that of the centred window.

        Raises:
          InvalidInputError: the plan's window is longer than the clips.
        """
        span, valid = batch["span"], batch["valid"]
        usable = valid[:, 1] - valid[:, 0]
        # A clip of a whole video that is short is filled up with its last frame, which a window may touch.
        usable = np.where(valid[:, 0] == 0, np.maximum(usable, batch["clip"].shape[1]), usable)
        if self.window > usable.min():
            raise InvalidInputError(
                f"a window lies inside its clip, but {self.num_frames} frames {self.frame_stride} apart span "
                f"{self.window} frames and a clip has {usable.min()}; take fewer frames or a smaller stride"
            )
        first, centre, last = window_starts(span, valid, self.window)
        return (centre if rng is None else rng.integers(first, last, endpoint=True)).astype(np.int32)

    def times(self, batch: Mapping[str, np.ndarray], rng: np.random.Generator | None) -> np.ndarray:
        """Returns the frames to read of each clip, int32 [b, num_frames], from :meth:`starts` on."""
        steps = np.arange(self.num_frames, dtype=np.int32) * self.frame_stride
        return self.starts(batch, rng)[:, None] + steps


class RawTrainLoader(Stream):
    """An endless iterator of shuffled batches of whole clips, the training crop and mirroring applied:

    - ``clip``: uint8 [b, frames_stored, side, side, 3], ``side`` being the set's ``image_size``,
    - ``label``: int32 [b],
    - ``span`` and ``valid``: int32 [b, 2], for :meth:`PlanView.starts`.
    """

    def __init__(
        self,
        clips: ClipSet,
        split: str | tuple[str, ...],
        *,
        batch_size: int,
        seed: int,
        augment: bool = True,
    ) -> None:
        """Opens a split, or several together as in ``("train", "val")``.

        Args:
          seed: of the order, the crops and the mirroring.
          augment: draw crops and mirroring where the set allows them; otherwise the centred crop.

        Raises:
          InvalidInputError: a number is out of range, or there is no such split.
        """
        super().__init__(
            clips, split, batch_size=batch_size, seed=seed, augment=augment, sampler=_WholeClips(clips), kind="whole "
        )


def raw_eval_batches(clips: ClipSet, split: str, *, batch_size: int) -> Iterator[dict[str, np.ndarray]]:
    """Returns one pass over a split, in order, with the centred crop.

    Each batch has the fields of :class:`RawTrainLoader` and ``weight`` float32 [b]; the last is filled up to the same
    shape with copies of its last clip, of weight 0.

    Raises:
      InvalidInputError: a number is out of range, or there is no such split.
    """
    check_integer("batch_size", batch_size, 1)
    sampler = _WholeClips(clips)

    def fill_up(records: list[Any]) -> dict[str, np.ndarray]:
        missing = batch_size - len(records)
        batch = sampler.centred(records)
        # Copies, not zeros: a span and the frames a window may touch must be those of some clip.
        batch = {name: np.pad(a, [(0, missing)] + [(0, 0)] * (a.ndim - 1), mode="edge") for name, a in batch.items()}
        return batch | {"weight": np.repeat(np.array([1, 0], np.float32), [len(records), missing])}

    return one_pass(clips, split, batch_size, fill_up)


class _WholeClips:
    """Crops and mirrors stored clips and keeps all their frames."""

    def __init__(self, clips: ClipSet) -> None:
        self._side, self._shift, self._flip = clips.image_size, clips.shift, clips.flip

    def centred(self, records: Sequence[Mapping[str, Any]]) -> dict[str, np.ndarray]:
        return self._crop(records, np.full((len(records), 2), self._shift))

    def random(self, records: Sequence[Mapping[str, Any]], rng: np.random.Generator) -> dict[str, np.ndarray]:
        batch = self._crop(records, rng.integers(0, 2 * self._shift, (len(records), 2), endpoint=True))
        if self._flip:
            mirrored = rng.random(len(records)) < 0.5
            batch["clip"][mirrored] = batch["clip"][mirrored, :, :, ::-1]
        return batch

    def _crop(self, records: Sequence[Mapping[str, Any]], corners: np.ndarray) -> dict[str, np.ndarray]:
        side = self._side
        crops = [
            record["clip"][:, top : top + side, left : left + side]
            for record, (top, left) in zip(records, corners.tolist())
        ]
        numbers = {name: np.stack([record[name] for record in records]) for name in ("label", "span", "valid")}
        return {"clip": np.stack(crops)} | {name: a.astype(np.int32) for name, a in numbers.items()}
