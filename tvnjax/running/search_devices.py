"""The devices of a run."""

from typing import Any

from tvnjax.running.config import RunConfig
from tvnjax.trainers.devices import check_spread, first_devices


def search_devices(config: RunConfig) -> tuple[Any, ...]:
    """Those that the gradient search and the last trainings run on.

    Raises:
        InvalidInputError: there are fewer than asked for, or a batch does not divide into as many equal parts.
    """
    devices, search = first_devices(config.devices), config.search
    for name in ("batch_size", "score_clips"):
        check_spread(f"search.{name}", getattr(search, name), len(devices), search.accumulate)
    check_spread("retrain.batch_size", config.retrain.batch_size, len(devices))
    return devices
