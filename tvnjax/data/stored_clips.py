"""Batches of stored clips, from which many plans cut their own frames and pixels.

A search over shapes runs plans with different image sizes, frames and frame strides on the same clips. What to read is
drawn here on the host, as a few whole numbers a clip: which clip, where the crop lies, whether it is mirrored, and for
each plan (:class:`PlanView`) the first frame and the stride. The pixels are cut on the device
(``tvnjax.data.device_crop``), from the clips of the batch or from whole splits that live there
(``tvnjax.data.resident``).
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np

from tvnjax.core.errors import InvalidInputError
from tvnjax.data.batch_fields import STORED
from tvnjax.data.checks import check_integer, window_length
from tvnjax.data.clips import ClipSet
from tvnjax.data.loader import Stream, one_pass
from tvnjax.data.spans import window_starts


def flat_frames(records: Sequence[Mapping[str, Any]]) -> np.ndarray:
    """Returns stored clips as uint8 [clips, frames_stored, size, 3 * size]: colours beside each other in a line, for
    TPUs pad the last axis of an array to 128."""
    clips = np.stack([record["clip"] for record in records])
    return clips.reshape(*clips.shape[:3], -1)


@dataclass(frozen=True, kw_only=True)
class Numbers:
    """What is known of stored clips besides their pixels."""

    label: np.ndarray
    """int32 [clips]."""
    span: np.ndarray
    """int32 [clips, 2], the labelled frames."""
    valid: np.ndarray
    """int32 [clips, 2], the frames a window may touch."""
    first: int = 0
    """Where the first of them is among the clips of the array they are kept in."""

    @classmethod
    def of(cls, records: Sequence[Mapping[str, Any]]) -> "Numbers":
        """Those of records, as a split's source gives them."""
        label, span, valid = (
            np.stack([record[name] for record in records]).astype(np.int32) for name in ("label", "span", "valid")
        )
        return cls(label=label, span=span, valid=valid)

    @classmethod
    def joined(cls, parts: Sequence["Numbers"]) -> "Numbers":
        """Those of several arrays of clips, one behind the other."""
        return cls(
            label=np.concatenate([part.label for part in parts]),
            span=np.concatenate([part.span for part in parts]),
            valid=np.concatenate([part.valid for part in parts]),
        )

    def of_clips(self, which: Any, first: int = 0) -> "Numbers":
        """Those of some clips: a slice or an array of numbers."""
        return Numbers(label=self.label[which], span=self.span[which], valid=self.valid[which], first=first)


class Resident(Protocol):
    """Splits on the device: ``tvnjax.data.resident.ResidentClips``."""

    @property
    def clips(self) -> Any: ...

    def numbers(self, split: str) -> Numbers: ...


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

    def starts(self, batch: Mapping[str, Any], rng: np.random.Generator | None) -> np.ndarray:
        """Returns the first frame to read of each clip, int32 [b]: drawn by ``rng`` as training windows are, or for
        None that of the centred window.

        Raises:
          InvalidInputError: the plan's window is longer than the clips.
        """
        span, valid = batch["span"], batch["valid"]
        usable = valid[:, 1] - valid[:, 0]
        # A clip of a whole video that is short is filled up with its last frame, which a window may touch.
        frames_stored = batch[STORED if STORED in batch else "clips"].shape[1]
        usable = np.where(valid[:, 0] == 0, np.maximum(usable, frames_stored), usable)
        if self.window > usable.min():
            raise InvalidInputError(
                f"a window lies inside its clip, but {self.num_frames} frames {self.frame_stride} apart span "
                f"{self.window} frames and a clip has {usable.min()}; take fewer frames or a smaller stride"
            )
        first, centre, last = window_starts(span, valid, self.window)
        return (centre if rng is None else rng.integers(first, last, endpoint=True)).astype(np.int32)

    def rows(self, batch: Mapping[str, Any], rng: np.random.Generator | None) -> np.ndarray:
        """Returns all that a program is told of a batch besides the clips, int32 [b, 7], from :meth:`starts` on."""
        starts = self.starts(batch, rng)
        stride = np.full_like(starts, self.frame_stride)
        return np.concatenate([batch["picks"], starts[:, None], stride[:, None]], axis=1)


class RawTrainLoader(Stream):
    """An endless iterator of shuffled batches, the training crop and mirroring drawn:

    - ``clips``: uint8 [b, frames_stored, size, 3 * size], or ``stored``: those of whole splits, on the device,
    - ``picks``: int32 [b, 5], the first columns of the rows,
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
        resident: Resident | None = None,
    ) -> None:
        """Opens a split, or several together as in ``("train", "val")``.

        Args:
          seed: of the order, the crops and the mirroring.
          augment: draw crops and mirroring where the set allows them; otherwise the centred crop.
          resident: holds the split, a single one; the batches, and saved places, are the same.

        Raises:
          InvalidInputError: a number is out of range, or there is no such split.
        """
        self._resident = resident
        super().__init__(
            clips,
            split,
            batch_size=batch_size,
            seed=seed,
            augment=augment,
            sampler=_Picker(clips, split, resident),
            kind="whole ",
            numbered=resident is not None,
        )

    def __next__(self) -> dict[str, Any]:
        batch = super().__next__()
        return batch if self._resident is None else {STORED: self._resident.clips, **batch}


def raw_eval_batches(
    clips: ClipSet, split: str, *, batch_size: int, resident: Resident | None = None
) -> Iterator[dict[str, Any]]:
    """Returns one pass over a split, in order, with the centred crop.

    Each batch has the fields of :class:`RawTrainLoader` and ``weight`` float32 [b]; the last is filled up to the same
    shape with copies of its last clip, of weight 0.

    Args:
      resident: holds the split; the batches are the same.

    Raises:
      InvalidInputError: a number is out of range, or there is no such split.
    """
    check_integer("batch_size", batch_size, 1)
    picker = _Picker(clips, split, resident)

    def fill_up(records: Sequence[Any]) -> dict[str, Any]:
        missing = batch_size - len(records)
        batch = picker.centred(records)
        # Copies, not zeros: a span and the frames a window may touch must be those of some clip.
        batch = {name: np.pad(a, [(0, missing)] + [(0, 0)] * (a.ndim - 1), mode="edge") for name, a in batch.items()}
        return batch | {"weight": np.repeat(np.array([1, 0], np.float32), [len(records), missing])}

    if resident is None:
        return one_pass(clips, split, batch_size, fill_up)
    numbers = range(clips.splits[split])
    firsts = range(0, len(numbers), batch_size)
    return ({STORED: resident.clips, **fill_up(numbers[first : first + batch_size])} for first in firsts)


class _Picker:
    """Draws the crops and the mirroring of clips: of records that hold them, or of their numbers in a resident
    split."""

    def __init__(self, clips: ClipSet, split: str | tuple[str, ...], resident: Resident | None) -> None:
        self._shift, self._flip, self._split, self._resident = clips.shift, clips.flip, split, resident

    def centred(self, records: Sequence[Any]) -> dict[str, np.ndarray]:
        return self._pick(records, np.full((len(records), 2), self._shift), np.zeros(len(records), bool))

    def random(self, records: Sequence[Any], rng: np.random.Generator) -> dict[str, np.ndarray]:
        corners = rng.integers(0, 2 * self._shift, (len(records), 2), endpoint=True)
        mirrored = rng.random(len(records)) < 0.5 if self._flip else np.zeros(len(records), bool)
        return self._pick(records, corners, mirrored)

    def _pick(self, records: Sequence[Any], corners: np.ndarray, mirrored: np.ndarray) -> dict[str, np.ndarray]:
        if self._resident is None:
            known, index = Numbers.of(records), np.arange(len(records))
            clips = {"clips": flat_frames(records)}
        else:
            assert isinstance(self._split, str), "a resident split is a single one"
            split, clips = self._resident.numbers(self._split), {}
            index = np.asarray(records) + split.first
            known = split.of_clips(np.asarray(records))
        picks = np.column_stack([index, corners, mirrored, known.label]).astype(np.int32)
        return {**clips, "picks": picks, "span": known.span, "valid": known.valid}
