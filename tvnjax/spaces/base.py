"""What the engine knows of a search space and of its genotypes, whoever wrote them."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any, Literal, NamedTuple, Protocol

import numpy as np

from tvnjax.graph import HeadKind, Network

Draw = Literal["gene", "kind"]
"""How the gene a mutation changes is drawn, where a space has a choice: uniformly from all, or first a kind (the input,
or one of the blocks), then a gene of it."""


Choose = Callable[[str, Sequence[Any]], Any]
"""Answers which of some values a choice takes, by the choice's name; one of that name always has the same values."""


class Reads(NamedTuple):
    """What a network reads of a video."""

    num_frames: int
    frame_stride: int
    """Frames of the video from one that is read to the next."""
    image_size: int
    """Height and width in pixels."""

    @property
    def window(self) -> int:
        """Frames of the video from the first that is read to the last."""
        return (self.num_frames - 1) * self.frame_stride + 1

    def settled(self) -> "Reads":
        """With a stride of 1 where a single frame is read, which has none."""
        return self if self.num_frames > 1 else self._replace(frame_stride=1)


class Genotype(Protocol):
    """One network of a space: immutable, and equal to what it is read back to."""

    @property
    def id(self) -> str:
        """Equal for equal networks, however they are written."""
        ...

    @property
    def reads(self) -> Reads: ...

    def reading(self, reads: Reads) -> "Genotype":
        """The same network on other clips.

        Raises:
            InvalidInputError: it cannot read those.
        """
        ...

    def lower(self, num_classes: int, *, channels: int = 3, head: HeadKind = "mean") -> Network:
        """The network as primitive layers."""
        ...

    def genes(self) -> Mapping[Any, Any]:
        """What it is made of, by name: two genotypes are as far apart as the number of these that differ."""
        ...

    def to_json(self, *, short: bool = False) -> Any:
        """Plain values, which ``genotype_from_json`` reads back.

        Args:
            short: without what has its default.
        """
        ...


class Space(Protocol):
    """What a strategy draws proposals from."""

    @property
    def reads(self) -> Reads:
        """The most that its networks read: frames, distance between them, pixels."""
        ...

    @property
    def log10_size(self) -> float:
        """Decimal logarithm of the number of genotypes, as far as it is known; several may be one network."""
        ...

    def sample(self, rng: np.random.Generator) -> Any:
        """A legal genotype."""
        ...

    def assembled(self, choose: Choose) -> Any:
        """A legal genotype of choices that are asked for one after the other, as define-by-run optimizers make them;
        which come later may depend on what was answered. ``sample`` is this under a generator's answers."""
        ...

    def mutate(self, genotype: Any, rng: np.random.Generator) -> Any:
        """One change, so that it is another network.

        Raises:
            InvalidInputError: the space holds this network alone.
        """
        ...

    def refined(self) -> "Space":
        """A finer space around it, with values that a grid leaves out; itself where there are none."""
        ...

    def relax(self) -> Any:
        """The ``Relaxation`` that a search by gradient works on; ``None``: the space is for strategies that ask for
        evaluations."""
        ...

    def to_json(self) -> Any:
        """Plain values, which ``space_from_json`` reads back."""
        ...
