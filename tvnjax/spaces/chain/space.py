"""A space of positions in a row, and its genotypes."""

import dataclasses
import functools
import hashlib
import json
import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from tvnjax.core.errors import InvalidInputError
from tvnjax.graph import Head, HeadKind, Network, Shape, Unit
from tvnjax.spaces.base import Choose, Reads
from tvnjax.spaces.chain.options import Option, as_option
from tvnjax.spaces.registry import UnmadeSpaceError
from tvnjax.spaces.relaxing import Relaxation

NAME = "chain"
GENE = "layer"
"""The one choice of a position."""


@dataclasses.dataclass(frozen=True)
class ChainGenotype:
    """One network of a ``ChainSpace``: the index of an option for every position."""

    space: "ChainSpace" = dataclasses.field(repr=False)
    chosen: tuple[int, ...]
    reads: Reads

    @property
    def id(self) -> str:
        """Twelve hexadecimal digits of the layers and of what is read: equal for equal networks."""
        return self._id

    @functools.cached_property
    def _id(self) -> str:
        units = [unit.key for unit in self.space.units(self.chosen, self.reads, 3)]
        told = json.dumps([units, list(self.reads.settled())])
        return hashlib.sha256(told.encode()).hexdigest()[:12]

    def reading(self, reads: Reads) -> "ChainGenotype":
        """The same layers on other clips.

        Raises:
            InvalidInputError: a size is below 1.
        """
        if min(reads) < 1:
            raise InvalidInputError(f"what a network reads is at least 1 in every size; got {tuple(reads)}")
        return dataclasses.replace(self, reads=reads)

    def lower(self, num_classes: int, *, channels: int = 3, head: HeadKind = "mean") -> Network:
        """The network: a unit for every position that is not the identity."""
        units = self.space.units(self.chosen, self.reads, channels)
        shape = input_shape(self.reads, channels)
        end = units[-1].out_shape if units else shape
        return Network(
            input_shape=shape,
            frame_stride=self.reads.frame_stride,
            units=units,
            head=Head(in_shape=end, num_classes=num_classes, pool=head),
        )

    def genes(self) -> Mapping[Any, Any]:
        """The option of every position, and what is read."""
        return dict(enumerate(self.chosen)) | self.reads._asdict()

    def to_json(self, *, short: bool = False) -> dict[str, Any]:
        """Plain values; ``genotype_from_json`` reads them where the space has been made."""
        options = [options[index].name for options, index in zip(self.space.options, self.chosen)]
        return {"space": NAME, "of": self.space.digest, "chosen": list(self.chosen), "options": options} | (
            {} if self.reads == self.space.reads else {"reads": self.reads._asdict()}
        )


class ChainSpace:
    """Networks of positions in a row: at each, one of a list of layers.

    Args:
        positions: for every position its options (see ``options``), or own layers.
        frames: that a network reads.
        size: height and width of a frame in pixels.
        frame_stride: frames of the video from one that is read to the next.

    Raises:
        InvalidInputError: a position has no option, or one twice, or options that give other frames or pixels than the
            rest: what comes next could then not be shared.
    """

    name = NAME

    def __init__(self, positions: Sequence[Sequence[Any]], *, frames: int, size: int, frame_stride: int = 1):
        self.options = tuple(tuple(map(as_option, options)) for options in positions)
        self.reads = Reads(frames, frame_stride, size)
        if min(self.reads) < 1 or not self.options:
            raise InvalidInputError(
                f"a chain has a position and reads at least one frame of one pixel; got {len(self.options)} positions, "
                f"{frames} frames, size {size} and frame_stride {frame_stride}"
            )
        for number, options in enumerate(self.options):
            names = [option.name for option in options]
            if not names or len(set(names)) < len(names):
                raise InvalidInputError(f"a position has options, each once; position {number} has {names}")
        self.widths = self._check_shapes()
        told = [[option.name for option in options] for options in self.options]
        layers = [sorted(map(str, self._texts(number))) for number in range(len(self.options))]
        self.digest = hashlib.sha256(json.dumps([told, layers, self.reads]).encode()).hexdigest()[:16]
        _MADE[self.digest] = self

    def __repr__(self) -> str:
        counts = " x ".join(str(len(options)) for options in self.options)
        return f"ChainSpace({counts} options, {self.reads.num_frames} frames of {self.reads.image_size} px)"[:200]

    @property
    def log10_size(self) -> float:
        return math.log10(math.prod(len(options) for options in self.options))

    def genotype(self, chosen: Sequence[int]) -> ChainGenotype:
        """The network of an option's index for every position.

        Raises:
            InvalidInputError: an index is of no option, or one is missing.
        """
        counts = [len(options) for options in self.options]
        if len(chosen) != len(counts) or not all(0 <= i < n for i, n in zip(chosen, counts)):
            raise InvalidInputError(
                f"a network of a chain names an option for each of {len(counts)} positions, from 0 to below {counts}; "
                f"got {list(chosen)!r:.80}"
            )
        return ChainGenotype(self, tuple(map(int, chosen)), self.reads)

    def sample(self, rng: np.random.Generator) -> ChainGenotype:
        """Draws every position's option uniformly."""
        return self.assembled(lambda name, values: values[int(rng.integers(len(values)))])

    def assembled(self, choose: Choose) -> ChainGenotype:
        """A genotype of options that are asked for position by position."""
        return self.genotype(
            [choose(f"position {number}", range(len(options))) for number, options in enumerate(self.options)]
        )

    def mutate(self, genotype: ChainGenotype, rng: np.random.Generator) -> ChainGenotype:
        """Another option at one position, so that the network changes.

        Raises:
            InvalidInputError: the space holds this network alone.
        """
        others = [
            (number, index)
            for number, options in enumerate(self.options)
            for index in range(len(options))
            if index != genotype.chosen[number]
        ]
        for which in rng.permutation(len(others)):
            number, index = others[which]
            chosen = (*genotype.chosen[:number], index, *genotype.chosen[number + 1 :])
            mutant = dataclasses.replace(genotype, chosen=chosen)
            if mutant.id != genotype.id:
                return mutant
        raise InvalidInputError("a mutation needs a second network; the search space holds one: widen it")

    def refined(self) -> "ChainSpace":
        """Itself: options are what they are."""
        return self

    def relax(self) -> Relaxation:
        from tvnjax.spaces.chain.relaxation.relaxation import ChainRelaxation  # which needs JAX

        return ChainRelaxation(self)

    def to_json(self) -> dict[str, Any]:
        """What it is, for people; options are code, so that reading it back needs the space itself."""
        told = [[option.name for option in options] for options in self.options]
        return {"space": NAME, "of": self.digest, "positions": told, **self.reads._asdict()}

    def units(self, chosen: Sequence[int], reads: Reads, channels: int) -> tuple[Unit, ...]:
        """The layers of some options, position by position."""
        units, shape = [], input_shape(reads, channels)
        for number, (options, index) in enumerate(zip(self.options, chosen)):
            layers = options[index].layers(shape)
            if layers:
                out = layers[-1].out_shape
                units.append(Unit(block=number, repeat=0, in_shape=shape, out_shape=out, layers=layers))
                shape = out
        return tuple(units)

    def shape_before(self, number: int, width: int) -> Shape:
        """What comes into a position at one of its ``widths``."""
        return self._sizes[number]._replace(c=width)

    def _check_shapes(self) -> tuple[tuple[int, ...], ...]:
        """Every width that may come into each position, and out of the last; ascending."""
        self._sizes = [input_shape(self.reads, 3)]
        widths: list[tuple[int, ...]] = [(3,)]
        for number, options in enumerate(self.options):
            given: dict[Shape, str] = {}
            behind = set()
            for option in options:
                for width in widths[-1]:
                    shape = self._out(option, self.shape_before(number, width))
                    given.setdefault(shape._replace(c=1), option.name)
                    behind.add(shape.c)
            if len(given) > 1:
                (first, a), (second, b), *_ = given.items()
                raise InvalidInputError(
                    f"all options of a position give the same frames and pixels; at position {number} {a!r} gives "
                    f"{first[:3]} and {b!r} {second[:3]}: give them one stride"
                )
            self._sizes.append(next(iter(given)))
            widths.append(tuple(sorted(behind)))
        return tuple(widths)

    def _out(self, option: Option, shape: Shape) -> Shape:
        layers = option.layers(shape)
        for before, layer in zip((None, *layers), layers):
            expected = shape if before is None else before.out_shape
            if layer.in_shape != expected:
                raise InvalidInputError(
                    f"a layer takes what the one before gives; {layer} of {option.name!r} takes "
                    f"{tuple(layer.in_shape)} where {tuple(expected)} comes in"
                )
        return layers[-1].out_shape if layers else shape

    def _texts(self, number: int) -> list[str]:
        shapes = [self.shape_before(number, width) for width in self.widths[number]]
        return [str(layer) for option in self.options[number] for shape in shapes for layer in option.layers(shape)]


def input_shape(reads: Reads, channels: int) -> Shape:
    """A clip."""
    return Shape(reads.num_frames, reads.image_size, reads.image_size, channels)


_MADE: dict[str, "ChainSpace"] = {}
"""Every space of this process by its digest, so that what was written down of one is read back: also where nobody
holds the space any more, as behind ``tvnjax.run(ChainSpace(...))``."""


def made(digest: Any) -> ChainSpace:
    """The space of a digest.

    Raises:
        UnmadeSpaceError: it has not been made in this process.
    """
    space = _MADE.get(digest) if isinstance(digest, str) else None
    if space is None:
        raise UnmadeSpaceError(
            f"a network of a chain is read where its space has been made, whose options are code; {digest!r:.40} has "
            "not: make the ChainSpace first"
        )
    return space
