"""Layers side by side."""

import dataclasses
import functools
from typing import Literal

from tvnjax.core.errors import InvalidInputError
from tvnjax.graph.checks import chain_end
from tvnjax.graph.layer import CostFeatures, Layer, Sign, Words
from tvnjax.graph.layers.merge import MERGING_WORDS, Merge
from tvnjax.graph.shape import Shape


@dataclasses.dataclass(frozen=True, kw_only=True)
class Branches(Layer):
    """Several chains of layers on one input, concatenated over channels or added (EvaNet's module, Inception's).

    An empty chain passes the input on.

    Raises:
        InvalidInputError: there is no branch, the layers of one do not fit together, or what they give cannot be
            joined.
    """

    in_shape: Shape = dataclasses.field()
    branches: tuple[tuple[Layer, ...], ...]
    how: Literal["concat", "sum"] = "concat"

    def __post_init__(self) -> None:
        if not self.branches:
            raise InvalidInputError("Branches hold at least one branch; got none: give it branches")
        self.merge  # noqa: B018  # what does not fit is said at once

    @functools.cached_property
    def merge(self) -> Merge:
        """Where the branches meet."""
        ends = [
            chain_end(branch, self.in_shape, f"branch {number} of Branches")
            for number, branch in enumerate(self.branches, 1)
        ]
        return Merge(in_shapes=tuple(ends), how=self.how)

    @functools.cached_property
    def out_shape(self) -> Shape:
        return self.merge.out_shape

    @property
    def inside(self) -> tuple[tuple[Layer, ...], ...]:
        return self.branches

    @property
    def leaves(self) -> tuple[Layer, ...]:
        """The layers of all branches, one branch after the other, and where several meet."""
        inside = tuple(leaf for branch in self.branches for layer in branch for leaf in layer.leaves)
        return (*inside, self.merge) if len(self.branches) > 1 else inside

    @property
    def params(self) -> int:
        return sum(layer.params for branch in self.branches for layer in branch)

    @property
    def macs(self) -> int:
        return sum(layer.macs for branch in self.branches for layer in branch)

    def __str__(self) -> str:
        inside = " | ".join(" ".join(map(str, branch)) or "input" for branch in self.branches)
        return f"{self.how}[{inside}]"

    @property
    def family(self) -> str:
        return "join"

    @property
    def label(self) -> str:
        inside = " | ".join(", ".join(layer.label for layer in branch) or "input" for branch in self.branches)
        return f"{self.how} [{inside}]"

    @property
    def words(self) -> Words:
        count = len(self.branches)
        return Words(f"{count} branches, {MERGING_WORDS[self.how]}" if count > 1 else "1 branch")

    @property
    def sign(self) -> Sign:
        return Sign("P", "white", 8.0)

    @property
    def cost(self) -> CostFeatures:
        raise InvalidInputError(
            "the cost of Branches is that of the layers inside; it has none of its own: take the costs of its leaves"
        )

    def placed(self, in_shape: Shape) -> Layer:
        if in_shape == self.in_shape:
            return self
        raise InvalidInputError(
            f"Branches stand where the layers inside fit; these take {tuple(self.in_shape)} where {tuple(in_shape)} "
            "comes in: make them of that shape"
        )
