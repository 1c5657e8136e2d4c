"""Stored clips that live on the device: put there once, whichever streams and passes read them."""

import functools
import threading
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import grain
import jax
import jax.numpy as jnp
import numpy as np

from tvnjax.core.memory import free_bytes
from tvnjax.data.clips import ClipSet
from tvnjax.data.loader import AHEAD
from tvnjax.data.placement import Placement
from tvnjax.data.stored_clips import Numbers, flat_frames

_SHARE = 4
"""A quarter of the memory: what programs keep between a forward and a backward pass needs the most of it."""
_UNKNOWN = 2 * 10**9
"""Bytes where nothing tells what memory there is."""
_PIECE = 32 * 2**20
"""Bytes put on the device at a time. Up to five pieces are on the host at once."""


@dataclass(frozen=True, kw_only=True)
class ResidentLimit:
    """How much of a device clips may take."""

    most: int
    """Bytes."""
    why: str
    """Where the number comes from, for logs."""

    @classmethod
    def of(cls, given_gb: float | None, device: Any = None) -> "ResidentLimit":
        """Returns the limit that was given, or a quarter of a device's memory; on a CPU of the memory that is free.

        Args:
          given_gb: in units of 10^9 bytes.
          device: default: JAX's first of this process.
        """
        if given_gb is not None:
            return cls(most=round(given_gb * 1e9), why="as given")
        device = jax.local_devices()[0] if device is None else device
        stats: Any = device.memory_stats() or {}
        if device.platform != "cpu" and "bytes_limit" in stats:
            return cls(most=stats["bytes_limit"] // _SHARE, why="a quarter of the device's memory")
        free = free_bytes() if device.platform == "cpu" else None
        if free is not None:
            return cls(most=free // _SHARE, why="a quarter of the free memory")
        return cls(most=_UNKNOWN, why="nothing tells how much memory there is")


def split_bytes(clips: ClipSet, split: str) -> int:
    """Returns what the stored clips of a split take on a device."""
    return clips.splits[split] * clips.frames_stored * clips.size**2 * 3


def splits_within(clips: ClipSet, limit: int, order: Sequence[str] = ("val", "train")) -> tuple[str, ...]:
    """Returns the splits that ``limit`` bytes hold together: each as a whole, the first of ``order`` first. One that
    does not fit leaves its room to those behind it."""
    held: list[str] = []
    for split in order:
        need = split_bytes(clips, split)
        if need <= limit:
            held.append(split)
            limit -= need
    return tuple(held)


class ResidentClips:
    """Splits of a set on the device, one behind the other in one array: programs that read either are the same.

    They are read when a batch is first asked for, piece by piece.

    Args:
      splits: at least one; in this order.
    """

    def __init__(self, clips: ClipSet, splits: Sequence[str], placement: Placement) -> None:
        self.splits, self._set, self._placement = tuple(splits), clips, placement
        self._lock = threading.Lock()

    @property
    def clips(self) -> jax.Array:
        """uint8 [clips, frames_stored, size, 3 * size]; see :func:`tvnjax.data.stored_clips.flat_frames`."""
        return self._loaded[0]

    def numbers(self, split: str) -> Numbers:
        """Returns the labels and the frames of one of ``splits``, and where its clips begin."""
        sizes = [self._set.splits[one] for one in self.splits]
        first = sum(sizes[: self.splits.index(split)])
        return self._loaded[1].of_clips(slice(first, first + self._set.splits[split]), first)

    @functools.cached_property
    def _read(self) -> tuple[jax.Array, Numbers]:
        one = self._set
        count = sum(one.splits[split] for split in self.splits)
        shape = (count, one.frames_stored, one.size, 3 * one.size)
        sources: Any = [grain.MapDataset.source(one.source(split)) for split in self.splits]
        per_piece = max(_PIECE // (shape[1] * shape[2] * shape[3]), 1)
        pieces = grain.MapDataset.concatenate(sources).batch(per_piece, batch_fn=list).to_iter_dataset(AHEAD)
        whole: Any = jax.jit(lambda: jnp.zeros(shape, jnp.uint8), out_shardings=self._placement.whole)()
        # Donated: the array is filled in place, and the device never holds it twice.
        write = jax.jit(jax.lax.dynamic_update_slice_in_dim, static_argnames="axis", donate_argnums=0)
        numbers, at = [], 0
        for records in pieces:
            piece = flat_frames(records)
            whole = write(whole, self._placement.copy(piece), self._placement.copy(np.int32(at)), axis=0)
            numbers.append(Numbers.of(records))
            at += len(records)
        return whole, Numbers.joined(numbers)

    @property
    def _loaded(self) -> tuple[jax.Array, Numbers]:
        with self._lock:
            return self._read
