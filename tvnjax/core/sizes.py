"""How large the numbers of an option may be, wherever it was given: on the command line, in a file, from Python."""

import dataclasses
from typing import Any

from tvnjax.core.errors import InvalidInputError

MOST_WHOLE = 2**31 - 1
"""JAX counts and draws in 32 bits: the seed 2^32 would be the seed 0 again, without a word."""
MOST_OTHERS = 10_000_000
MOST = {
    **dict.fromkeys(("seed", "seeds", "split_seed", "steps", "checkpoint_every", "eval_every"), MOST_WHOLE),
    **dict.fromkeys(("params", "drawn_clips"), MOST_WHOLE),
    **dict.fromkeys(("image_size", "size", "num_frames", "frames", "frame_stride", "threads"), 4096),
    **dict.fromkeys(("batch_size", "latency_batch", "score_clips", "filters"), 65_536),
}
"""The largest whole number of options by name, and of all others. They are far beyond what is of use; with more,
memory ends or a count overflows before any other check."""
SMALLEST, LARGEST = 1e-30, 1e30
"""Of a fraction's size, if it is not 0. JAX computes in float32, which has nothing above 3.4e38 or below 1.2e-38."""
LEAST = {"classes": 1, "latency_batch": 1, "compound": -LARGEST}
"""The least of an option; 0 of all others."""


def check_sizes(options: Any, before: str = "") -> None:
    """Refuses what no machine holds before memory is asked for, and numbers below 0.

    Args:
        options: a dataclass; those inside it are looked through too.
        before: the path of the options, for messages: ``search.``.

    Raises:
        InvalidInputError: a number is out of range; the message names its path.
    """
    for field in dataclasses.fields(options):
        path, value = f"{before}{field.name}", getattr(options, field.name)
        for index, item in enumerate(value if isinstance(value, tuple) else (value,)):
            if dataclasses.is_dataclass(item):
                check_sizes(item, f"{path}.{index}." if isinstance(value, tuple) else f"{path}.")
            elif isinstance(item, int | float) and not isinstance(item, bool):
                least = LEAST.get(field.name, 0)
                most = MOST.get(field.name, MOST_OTHERS) if isinstance(item, int) else LARGEST
                if not least <= item <= most:
                    span = f"from {least:,} to {most:,}" if isinstance(item, int) else f"{least:g} or above"
                    raise InvalidInputError(f"{path} is {span}; got {item:,}")
