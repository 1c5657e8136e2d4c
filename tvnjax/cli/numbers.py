"""Numbers of options: what they may be, by the text and by the option's name."""

import dataclasses
import math
import re
from typing import Any

from tvnjax.core.errors import InvalidInputError
from tvnjax.core.printable import printable

MOST_WHOLE = 2**31 - 1
"""JAX counts and draws in 32 bits: the seed 2^32 would be the seed 0 again, without a word."""
MOST_OTHERS = 10_000_000
MOST = {
    **dict.fromkeys(("seed", "seeds", "split_seed", "steps", "checkpoint_every", "eval_every"), MOST_WHOLE),
    **dict.fromkeys(("params", "drawn_clips"), MOST_WHOLE),
    **dict.fromkeys(("image_size", "size", "num_frames", "frames", "frame_stride", "threads"), 4096),
    **dict.fromkeys(("batch_size", "score_clips", "filters"), 65_536),
}
"""The largest whole number of options by name, and of all others. They are far beyond what is of use; with more,
memory ends or a count overflows before any other check."""
SMALLEST, LARGEST = 1e-30, 1e30
"""Of a fraction's size, if it is not 0. JAX computes in float32, which has nothing above 3.4e38 or below 1.2e-38."""
LEAST = {"classes": 1, "compound": -LARGEST}
"""The least of an option; 0 of all others."""


def whole_number(text: str) -> int:
    """A whole number that 32 bits hold.

    Raises:
        ValueError: the text is none.
    """
    if not re.fullmatch(r"\s*[+-]?[0-9]+(?:_[0-9]+)*\s*", text):
        raise ValueError(f"{printable(text, 60)!r} is no whole number")
    # Python itself reads no more than 4,300 digits.
    if len(text.strip()) > 40 or abs(int(text)) > MOST_WHOLE:
        raise ValueError(f"a whole number is at most {MOST_WHOLE:,} in size; got {printable(text.strip(), 60)}")
    return int(text)


def fraction(text: str) -> float:
    """A number that float32 holds; -0 is 0.

    Raises:
        ValueError: the text is none.
    """
    try:
        value = float(text)
    except ValueError:
        raise ValueError(f"{printable(text, 60)!r} is no number") from None
    written_as_zero = not re.search(r"[1-9]", re.split("[eE]", text)[0])
    if not math.isfinite(value) or not (SMALLEST <= abs(value) <= LARGEST or (value == 0 and written_as_zero)):
        raise ValueError(f"a number is 0, or from {SMALLEST:g} to {LARGEST:g} in size; got {printable(text, 60)}")
    return value or 0.0


def check_sizes(options: Any, before: str = "") -> None:
    """Refuses what no machine holds before memory is asked for, and numbers below 0.

    Args:
        options: a dataclass with all its values.
        before: the path of its fields, such as ``search.``.

    Raises:
        InvalidInputError: a number is out of its span; the message names the field's path.
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
