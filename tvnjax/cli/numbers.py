"""Numbers of options: what they may be, by the text."""

import math
import re

from tvnjax.core.printable import printable
from tvnjax.core.sizes import LARGEST, MOST_WHOLE, SMALLEST


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
