"""Arrays of one size put together as they are."""

import dataclasses
import functools
from typing import Literal

from tvnjax.core.errors import InvalidInputError
from tvnjax.graph.join import Join
from tvnjax.graph.layer import CostFeatures, Sign, Words
from tvnjax.graph.shape import Shape

Merging = Literal["concat", "sum", "mean"]
"""``concat`` puts channels behind one another; ``sum`` and ``mean`` take arrays of as many channels."""

MERGING_WORDS = {"concat": "concatenated", "sum": "added", "mean": "averaged"}


@dataclasses.dataclass(frozen=True, kw_only=True)
class Merge(Join):
    """The concatenation over channels, the sum or the mean of its inputs.

    Raises:
        InvalidInputError: their frames, heights or widths differ, or their channels where they are not concatenated.
    """

    how: Merging

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.how not in MERGING_WORDS:
            raise InvalidInputError(f"arrays are merged by one of {', '.join(MERGING_WORDS)}; got {self.how!r:.40}")
        sizes = {shape[: 3 if self.how == "concat" else 4] for shape in self.in_shapes}
        if len(sizes) > 1:
            alike = "frames, height and width" if self.how == "concat" else "frames, height, width and channels"
            raise InvalidInputError(
                f"arrays that are {MERGING_WORDS[self.how]} have the same {alike}; got "
                f"{' and '.join(str(tuple(shape)) for shape in self.in_shapes)}: pool or project them first"
            )

    @functools.cached_property
    def out_shape(self) -> Shape:
        first = self.in_shapes[0]
        return first._replace(c=sum(shape.c for shape in self.in_shapes)) if self.how == "concat" else first

    def __str__(self) -> str:
        return self.how

    @property
    def label(self) -> str:
        return f"{self.how} of {len(self.in_shapes)}"

    @property
    def words(self) -> Words:
        return Words(self.label)

    @property
    def sign(self) -> Sign:
        return Sign("P", "white", 8.0)

    @property
    def cost(self) -> CostFeatures:
        return CostFeatures(variant=self.how, hidden=len(self.in_shapes))
