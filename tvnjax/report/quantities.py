"""Numbers as text, the same way in every table, sentence and figure. Missing numbers are a dash."""

import dataclasses
import math
import statistics
from collections.abc import Callable, Sequence

MISSING = "–"
_LONG = 1e15
"""From here on digits tell nothing."""
_PLUS_MINUS = "\N{NO-BREAK SPACE}±\N{NO-BREAK SPACE}"


@dataclasses.dataclass(frozen=True, kw_only=True)
class Style:
    """How a quantity is written: times ``scale``, with as many decimals as its size asks for, without a unit."""

    decimals: Callable[[float], int]
    scale: float = 1.0

    def __call__(self, value: float, *, like: float | None = None) -> str:
        """The value as text, with the decimals that ``like`` would have."""
        scaled = value * self.scale
        if abs(scaled) >= _LONG:
            return f"{scaled:.3g}"
        decimals = self.decimals(scaled if like is None else like * self.scale)
        return f"{scaled:,.{decimals}f}"


percent = Style(scale=100, decimals=lambda _: 1)
"""A share from 0 to 1 in per cent: 0.7167 is ``71.7``."""
milliseconds = Style(
    decimals=lambda v: 0 if abs(v) >= 100 else 1 if abs(v) >= 10 else 2 if abs(v) >= 0.1 or v == 0 else 4
)
"""About three digits."""
seconds = Style(decimals=lambda v: 0 if v >= 100 else 1)
count = Style(decimals=lambda v: 0 if v == int(v) or v >= 1000 else 1)
"""A whole number, thousands set apart; a small mean of counts to one decimal."""
millions = Style(scale=1e-6, decimals=lambda v: 2 if v >= 0.1 else 4)
decimal = Style(decimals=lambda _: 2)


def signed(value: float) -> str:
    """One decimal with its sign, a true minus."""
    return f"{value:+.1f}".replace("-", "−")


def mean_sd(values: Sequence[float | None], style: Style) -> str:
    """One value as it is; several as ``mean ± sample standard deviation``; says so where some are missing."""
    there = [value for value in values if value is not None]
    if not there:
        return MISSING
    mean = statistics.fmean(there)
    if len(set(there)) == 1:
        text = style(there[0])
    else:
        text = f"{style(mean)}{_PLUS_MINUS}{style(statistics.stdev(there), like=mean)}"
    return text if len(there) == len(values) else f"{text} ({len(there)} of {len(values)})"


def optional(value: float | None, style: Style) -> str:
    """The value as text, or the dash for ``None``."""
    return MISSING if value is None else style(value)


def standard_error(share: float, cases: float) -> float:
    """Binomial standard error of a share of ``cases`` independent cases."""
    return math.sqrt(max(share * (1 - share), 0.0) / cases)


def listing(words: Sequence[str]) -> str:
    """``a``, ``a and b``, ``a, b and c``."""
    return " and ".join([", ".join(words[:-1]), words[-1]] if len(words) > 1 else words)
