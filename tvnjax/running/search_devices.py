"""The devices of a run."""

from typing import Any

import jax

from tvnjax.running.config import RunConfig
from tvnjax.trainers.devices import check_spread, first_devices


def search_devices(config: RunConfig) -> tuple[Any, ...]:
    """Those that the gradient search runs on, of all processes of the run.

    Raises:
        InvalidInputError: there are fewer than asked for, processes cannot have equally many, or a batch does not
            divide into as many equal parts.
    """
    devices, search = first_devices(config.devices), config.search
    for name in ("batch_size", "score_clips"):
        check_spread(f"search.{name}", getattr(search, name), len(devices), search.accumulate)
    check_spread("retrain.batch_size", config.retrain.batch_size, len(_own(devices)))
    return devices


def retrain_devices(config: RunConfig) -> tuple[Any, ...]:
    """Those that the last trainings run on: this process's among those of the search. Raises as ``search_devices``."""
    return _own(search_devices(config))


def _own(devices: tuple[Any, ...]) -> tuple[Any, ...]:
    return tuple(device for device in devices if device.process_index == jax.process_index())
