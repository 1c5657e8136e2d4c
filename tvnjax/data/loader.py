"""Batches of clips through Grain, in this process: the clips are decoded already, so worker processes cost more."""

from collections.abc import Callable, Iterator, Sequence
from typing import Any, Protocol, Self

import grain
import numpy as np

from tvnjax.core.errors import InvalidInputError
from tvnjax.data.checks import check_integer
from tvnjax.data.clips import ClipSet
from tvnjax.data.sampling import ClipSampler

# Two threads fill the next batches while the device works on this one: reading and decompressing clips leaves the
# interpreter lock free, cutting and stacking them does not, so more gain nothing.
AHEAD = grain.ReadOptions(num_threads=2, prefetch_buffer_size=4)
_MAX_PLACE = 10**12
"""Batches no training reads."""


class Stream:
    """An endless, resumable iterator of shuffled batches: what every loader of training clips is.

    Each epoch has an order of its own; batches run on across the ends of epochs, so a split may be smaller than a
    batch. The same arguments give the same batches.
    """

    def __init__(
        self,
        clips: ClipSet,
        split: str | tuple[str, ...],
        *,
        batch_size: int,
        seed: int,
        augment: bool,
        sampler: "Sampler",
        kind: str = "",
        numbered: bool = False,
    ) -> None:
        """Opens a split, or several together.

        Args:
          split: ``train``, or as in ``("train", "val")`` or ``train+val``.
          augment: batches are the sampler's random ones, not its centred ones.
          kind: told apart in saved states.
          numbered: the sampler is given the numbers of clips in the split, not the clips: the order is the same, and so
            are saved places.
        """
        check_integer("batch_size", batch_size, 1)
        check_integer("seed", seed, 0)
        split = split if isinstance(split, str) else "+".join(split)
        source: Any = clips.source(split)
        records = grain.MapDataset.source(range(len(source)) if numbered else source)
        batches = records.seed(seed).shuffle().repeat().batch(batch_size, batch_fn=list)
        batches = batches.random_map(sampler.random) if augment else batches.map(sampler.centred)
        self._iterator = iter(batches.to_iter_dataset(AHEAD))
        # What a saved place in the stream is only meaningful together with.
        self._stream = f"{kind}{clips.fingerprint} {split} batch_size={batch_size} seed={seed}"

    def __iter__(self) -> Self:
        return self

    def __next__(self) -> dict[str, np.ndarray]:
        return next(self._iterator)

    def get_state(self) -> dict[str, Any]:
        """Returns the place in the stream, to be kept as JSON."""
        return {"stream": self._stream, "position": self._iterator.get_state()}

    def set_state(self, state: dict[str, Any]) -> None:
        """Goes to a place that :meth:`get_state` returned: the same batches follow.

        Raises:
          InvalidInputError: the state belongs to other clips, or to another split, batch size or seed, or is damaged.
        """
        if not isinstance(state, dict) or state.get("stream") != self._stream:
            met = state.get("stream") if isinstance(state, dict) else state
            raise InvalidInputError(
                f"a loader resumes only the stream it was saved from ({self._stream!r}), got {met!r}; "
                "resume with the same data, split, batch size and seed"
            )
        here, position = self._iterator.get_state(), state.get("position")
        if (
            not isinstance(position, dict)
            or position.keys() != here.keys()
            or not all(type(place) is int and 0 <= place < _MAX_PLACE for place in position.values())
        ):
            raise InvalidInputError(
                f"a place in a stream is {', '.join(here)}, from 0 to {_MAX_PLACE:,}; the saved one is "
                f"{position!r:.80}: its file is damaged, go on from another"
            )
        self._iterator.set_state(position)


class Sampler(Protocol):
    """Makes a batch of stored clips."""

    def centred(self, records: Sequence[Any]) -> dict[str, np.ndarray]: ...

    def random(self, records: Sequence[Any], rng: np.random.Generator) -> dict[str, np.ndarray]: ...


class TrainLoader(Stream):
    """An endless iterator of shuffled batches ``{"clip": uint8 [b, t, s, s, 3], "label": int32 [b]}``; each epoch has
    windows of its own."""

    def __init__(
        self,
        clips: ClipSet,
        split: str | tuple[str, ...],
        *,
        batch_size: int,
        num_frames: int,
        frame_stride: int,
        image_size: int,
        seed: int,
        augment: bool = True,
    ) -> None:
        """Opens a split, or several together.

        Args:
          split: ``train``, or as in ``("train", "val")``.
          num_frames: frames per clip.
          frame_stride: distance between them in frames of the video.
          image_size: side in pixels.
          seed: of the order and of the augmentation.
          augment: draw random windows, and crops and mirroring where the set allows them; otherwise the centred ones.

        Raises:
          InvalidInputError: a number is out of range, the set was prepared for less, or there is no such split.
        """
        sampler = ClipSampler.of(clips, num_frames=num_frames, frame_stride=frame_stride, image_size=image_size)
        super().__init__(clips, split, batch_size=batch_size, seed=seed, augment=augment, sampler=sampler)


def eval_batches(
    clips: ClipSet, split: str, *, batch_size: int, num_frames: int, frame_stride: int, image_size: int
) -> Iterator[dict[str, np.ndarray]]:
    """Returns one pass over a split, in order, with centred windows.

    Each batch has ``clip`` uint8 [b, t, s, s, 3], ``label`` int32 [b] and ``weight`` float32 [b]; the last is filled up
    to the same shape with clips of weight 0.

    Raises:
      InvalidInputError: a number is out of range, the set was prepared for less, or there is no such split.
    """
    sampler = ClipSampler.of(clips, num_frames=num_frames, frame_stride=frame_stride, image_size=image_size)
    check_integer("batch_size", batch_size, 1)

    def fill_up(records: list[Any]) -> dict[str, np.ndarray]:
        batch = sampler.centred(records)
        batch["weight"] = np.ones(len(records), np.float32)
        missing = batch_size - len(records)
        return {name: np.pad(a, [(0, missing)] + [(0, 0)] * (a.ndim - 1)) for name, a in batch.items()}

    return one_pass(clips, split, batch_size, fill_up)


def one_pass(
    clips: ClipSet, split: str, batch_size: int, make: Callable[[list[Any]], dict[str, np.ndarray]]
) -> Iterator[dict[str, np.ndarray]]:
    """Returns what ``make`` makes of a split's records, in order, at most ``batch_size`` at a time."""
    batches = grain.MapDataset.source(clips.source(split)).batch(batch_size, batch_fn=list)
    return iter(batches.map(make).to_iter_dataset(AHEAD))
