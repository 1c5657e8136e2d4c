"""From features to class scores."""

import dataclasses
from typing import Literal

from tvnjax.graph.shape import Shape

HeadKind = Literal["mean", "softmax_time", "max_time"]
"""How a network's scores are pooled; see ``Head``."""

HeadPool = HeadKind | Literal["max_features"]
"""Every pool a head can have; the last one needs a hidden layer."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class Head:
    """Pools what the last unit gives and maps it to class scores.

    ``mean``: mean over time and space, dropout, dense. ``softmax_time``: mean over space, dropout, dense a frame,
    and the scores of the frames averaged with weights ``softmax(scores / sqrt(frames))`` over time (the released
    multi-label head). ``max_time``: the same scores of the frames, and the largest of each class over time.

    ``hidden`` puts a dense layer of that width behind the mean, before dropout. ``max_features`` takes the largest of
    each of its values over time, and one dense layer of classes behind.

    Raises:
        ValueError: ``max_features`` without a hidden layer.
    """

    in_shape: Shape
    num_classes: int
    pool: HeadPool = "mean"
    dropout: float = 0.5
    hidden: int = 0
    hidden_act: str | None = None
    hidden_bias: bool = True

    def __post_init__(self) -> None:
        if self.pool == "max_features" and not self.hidden:
            raise ValueError("max_features pools the values of a hidden layer; hidden is 0")

    @property
    def features(self) -> int:
        """Width of what the scores are made from."""
        return self.hidden or self.in_shape.c

    @property
    def params(self) -> int:
        hidden = (self.in_shape.c + self.hidden_bias) * self.hidden
        return hidden + (self.features + 1) * self.num_classes

    @property
    def macs(self) -> int:
        frames = self.in_shape.t
        hidden = self.in_shape.c * self.hidden * (1 if self.pool == "mean" else frames)
        return hidden + self.features * self.num_classes * (1 if self.pool in ("mean", "max_features") else frames)
