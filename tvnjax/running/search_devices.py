"""The devices that a search by gradient runs on."""

from typing import Any

import jax

from tvnjax.core.errors import InvalidInputError
from tvnjax.running.config import RunConfig


def search_devices(config: RunConfig) -> tuple[Any, ...]:
    """JAX's first devices, as many as asked for, all of the first one's kind.

    Raises:
        InvalidInputError: there are fewer, or a batch does not divide into as many equal parts.
    """
    there = [device for device in jax.devices() if device.device_kind == jax.devices()[0].device_kind]
    count = len(there) if config.devices == "all" else config.devices
    if count > len(there):
        raise InvalidInputError(
            f"devices is at most those JAX has, {len(there)} here ({there[0].device_kind}); got {count}: give fewer, "
            "or 'all'"
        )
    search = config.search
    for name, clips in (("batch_size", search.batch_size), ("score_clips", search.score_clips)):
        if clips % (count * search.accumulate):
            raise InvalidInputError(
                f"search.{name} is spread evenly over devices, each part of a batch too; {clips} clips do not divide "
                f"into {count} devices times search.accumulate {search.accumulate}: give a multiple of "
                f"{count * search.accumulate}"
            )
    return tuple(there[:count])
