"""A whole network of primitive layers with every shape known: what a genotype is lowered to and all else reads."""

import dataclasses
import functools
from collections.abc import Iterator

from tvnjax.core.errors import InvalidInputError
from tvnjax.graph.head import Head
from tvnjax.graph.layer import Layer
from tvnjax.graph.shape import Shape
from tvnjax.graph.unit import Source, Stream, Unit
from tvnjax.graph.wiring import Wiring


@dataclasses.dataclass(frozen=True, kw_only=True)
class Network:
    """A whole network as primitive layers: a graph of units, each of which reads what stands before it.

    A chain, in which the first unit reads the clip and every other one the unit before, says nothing of inputs.

    Raises:
        InvalidInputError: a unit reads what does not stand before it or does not fit, or nobody reads an input of the
            network or what a unit gives.
    """

    input_shape: Shape
    """Of the clip; of several streams, of the first."""
    further_inputs: tuple[Shape, ...] = ()
    """Of the streams behind the first: optical flow, say."""
    frame_stride: int
    units: tuple[Unit, ...]
    head: Head
    """Reads what the last unit gives."""

    def __post_init__(self) -> None:
        given = [*self.input_shapes, *(unit.out_shape for unit in self.units)]
        for number, (unit, reads) in enumerate(zip(self.units, self.wiring.reads)):
            for at, wanted in zip(reads, unit.in_shapes):
                if given[at] != wanted:
                    raise InvalidInputError(
                        f"a unit takes what its inputs give; units[{number}] takes {tuple(wanted)}, and "
                        f"{self._named(at)} gives {tuple(given[at])}: correct one of them"
                    )
        if given[-1] != self.head.in_shape or (self.further_inputs and not self.units):
            raise InvalidInputError(
                f"the head takes what the last unit gives, {tuple(given[-1])}; its in_shape is "
                f"{tuple(self.head.in_shape)}: correct one of them"
            )
        read = {at for reads in self.wiring.reads for at in reads} | {len(given) - 1}
        if unread := [self._named(at) for at in range(len(given)) if at not in read]:
            raise InvalidInputError(
                f"every input of a network and what every unit gives is read; nobody reads {', '.join(unread)}: take "
                "it out, or name it in a unit's inputs"
            )

    def __repr__(self) -> str:
        t, h, w, c = self.input_shape
        read = f"{t} frames of {h} × {w} × {c}" + "".join(f" and of {s.h} × {s.w} × {s.c}" for s in self.further_inputs)
        return f"Network({read}, {len(self.units)} units, {self.head.num_classes} classes, {self.params:,} parameters)"

    @property
    def input_shapes(self) -> tuple[Shape, ...]:
        """Of every stream."""
        return (self.input_shape, *self.further_inputs)

    @functools.cached_property
    def wiring(self) -> Wiring:
        """What every unit reads, written out."""
        reads = [
            tuple(self._array(source, number) for source in unit.inputs or (number - 1 if number else Stream(0),))
            for number, unit in enumerate(self.units)
        ]
        return Wiring(len(self.input_shapes), tuple(reads))

    @property
    def is_chain(self) -> bool:
        """Whether it has one stream, and every unit reads what stands right before it and nothing else."""
        return self.wiring.is_chain

    @property
    def params(self) -> int:
        return sum(unit.params for unit in self.units) + self.head.params

    @property
    def macs(self) -> int:
        return sum(unit.macs for unit in self.units) + self.head.macs

    def layers(self) -> Iterator[Layer]:
        for unit in self.units:
            yield from unit.all_layers

    def _array(self, source: Source, number: int) -> int:
        """The array of a source of the unit of a number."""
        streams = len(self.input_shapes)
        if isinstance(source, Stream):
            if not 0 <= source.index < streams:
                raise InvalidInputError(
                    f"a unit reads a stream of its network, from Stream(0) to Stream({streams - 1}); units[{number}] "
                    f"reads Stream({source.index}): name one of them, or give the network further_inputs"
                )
            return source.index
        if isinstance(source, bool) or not isinstance(source, int) or not 0 <= source < number:
            raise InvalidInputError(
                f"a unit reads units that stand before it, from 0 on, or a Stream; units[{number}] reads {source!r:.40}"
                ": put the units in an order in which each stands behind what it reads"
            )
        return streams + source

    def _named(self, at: int) -> str:
        streams = len(self.input_shapes)
        return f"Stream({at})" if at < streams else f"units[{at - streams}]"


def input_names(count: int) -> tuple[str, ...]:
    """What inputs are called where they have names: ``clip``; of several, ``clip_1``, ``clip_2`` and so on."""
    return ("clip",) if count == 1 else tuple(f"clip_{number}" for number in range(1, count + 1))


def require_one_stream(network: Network, who: str) -> None:
    """Refuses a network of several streams where there are clips alone.

    Raises:
        InvalidInputError: the network reads several streams.
    """
    if network.further_inputs:
        raise InvalidInputError(
            f"{who} reads clips, one stream; this network reads {len(network.input_shapes)}: take a network of one, or "
            "give its module the arrays yourself"
        )
