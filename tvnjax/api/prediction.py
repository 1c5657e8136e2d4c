"""What a network says of a clip: its classes with their probabilities."""

from collections.abc import Sequence

import numpy as np

from tvnjax.api.rows import html_table
from tvnjax.core.printable import NAME, printable

_SHOWN = 5


class Prediction(dict[str, float]):
    """Probabilities by class, the most probable first; they sum to 1.

    Args:
        classes: in the order of the scores.
        probabilities: ``[classes]``.
    """

    def __init__(self, classes: Sequence[str], probabilities: np.ndarray):
        order = np.argsort(-probabilities, kind="stable")
        super().__init__({classes[int(i)]: float(probabilities[i]) for i in order})

    @property
    def top(self) -> str:
        """The most probable class."""
        return next(iter(self))

    def __repr__(self) -> str:
        shown = [f"{printable(name, 30)} {share:.1%}" for name, share in list(self.items())[:_SHOWN]]
        rest = f", {len(self) - _SHOWN} more" if len(self) > _SHOWN else ""
        return printable(f"Prediction({', '.join(shown)}{rest})", 200)

    def _repr_html_(self) -> str:
        rows = [[printable(name, NAME), f"{share:.1%}"] for name, share in list(self.items())[:_SHOWN]]
        return html_table(("class", "probability"), [*rows], len(self))


class Predictions(list[Prediction]):
    """A prediction for each clip of a batch, in order."""

    def __repr__(self) -> str:
        named = ", ".join(printable(one.top, 30) for one in self[:_SHOWN])
        return printable(f"Predictions({len(self):,} clips: {named}{', ...' if len(self) > _SHOWN else ''})", 200)

    def _repr_html_(self) -> str:
        rows = [[i, printable(one.top, NAME), f"{one[one.top]:.1%}"] for i, one in enumerate(self[:50])]
        return html_table(("clip", "class", "probability"), rows, len(self))
