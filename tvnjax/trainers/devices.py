"""The devices that batches are spread over."""

from typing import Any, Literal

import jax

from tvnjax.core.errors import InvalidInputError

Devices = int | Literal["all"]
"""So many, or all that are of the first one's kind."""


def check_devices(asked: Any) -> None:
    """Refuses what is no number of devices.

    Raises:
        InvalidInputError: it is neither 'all' nor at least 1.
    """
    if asked != "all" and not (isinstance(asked, int) and asked >= 1):
        raise InvalidInputError(f"devices is 'all' or at least 1; got {asked!r}")


def first_devices(asked: Devices) -> tuple[Any, ...]:
    """JAX's first devices, all of the first one's kind; of several processes equally many each, in their order.

    Raises:
        InvalidInputError: there are fewer, or processes cannot have equally many.
    """
    check_devices(asked)
    there = [device for device in jax.devices() if device.device_kind == jax.devices()[0].device_kind]
    count = len(there) if asked == "all" else asked
    if count > len(there):
        raise InvalidInputError(
            f"devices is at most those JAX has, {len(there)} here ({there[0].device_kind}); got {count}: give fewer, "
            "or 'all'"
        )
    processes = jax.process_count()
    each = [[device for device in there if device.process_index == index] for index in range(processes)]
    if count % processes or min(map(len, each)) < count // processes:
        raise InvalidInputError(
            f"every process of a run has as many devices of the search; {count} (devices is {asked!r}) are not spread "
            f"evenly over {processes} processes that have {', '.join(str(len(one)) for one in each)}: give --devices "
            f"{processes * min(map(len, each))}"
        )
    return tuple(device for one in each for device in one[: count // processes])


def check_spread(name: str, clips: int, devices: int, parts: int = 1) -> None:
    """Refuses a batch that does not divide evenly.

    Args:
        name: of the option, for the message.
        parts: of a batch that are worked on one after the other.

    Raises:
        InvalidInputError: it does not.
    """
    if clips % (devices * parts):
        raise InvalidInputError(
            f"{name} is spread evenly over devices, each part of a batch too; {clips} clips do not divide into "
            f"{devices} devices times {parts} part(s): give a multiple of {devices * parts}"
        )
