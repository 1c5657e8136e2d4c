"""What a differentiable search reads: stored clips, from which every plan cuts its own frames and pixels."""

import dataclasses
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any

import jax
import numpy as np

from tvnjax.data.placement import FIRST_DEVICE, Placement
from tvnjax.spaces.relaxing import Plan
from tvnjax.trainers.plan_supernet import View


@dataclasses.dataclass(frozen=True, kw_only=True)
class Data:
    """Streams of batches, and what a plan reads of one.

    A batch is read by several plans: what is large in it is on the device already, and none of them puts it there
    again.
    """

    train: Iterator[Mapping[str, Any]]
    """Endless batches of training clips."""
    val: Iterator[Mapping[str, Any]]
    """Endless batches of validation clips."""
    scoring: Iterator[Mapping[str, Any]]
    """Endless, larger batches of validation clips."""
    val_once: Callable[[], Iterable[Mapping[str, Any]]]
    """Makes one pass over the validation split."""
    read: Callable[[Mapping[str, Any], Plan, np.random.Generator | None], Mapping[str, Any]]
    """What a plan's view reads of a batch, the frames drawn; those of the centred window without a generator."""
    view_of: Callable[[Plan], View]
    placement: Placement = FIRST_DEVICE

    def capture(self) -> dict[str, Any]:
        """Where the endless streams are, to be kept as JSON; of those that can tell."""
        streams = {name: getattr(self, name) for name in ("train", "val", "scoring")}
        return {name: stream.get_state() for name, stream in streams.items() if hasattr(stream, "get_state")}

    def restore(self, state: Mapping[str, Any]) -> None:
        """Goes on from what ``capture`` gave."""
        for name, stream in state.items():
            getattr(self, name).set_state(stream)

    def cut(self, batch: Mapping[str, Any], plan: Plan, rng: np.random.Generator | None) -> dict[str, Any]:
        """What a plan's program is given of a batch, all of it on the device: arrays of the host are put there, each
        with a row for every clip of the batch."""
        return {
            name: array if isinstance(array, jax.Array) else self.placement.split(array)
            for name, array in self.read(batch, plan, rng).items()
        }
