"""A network by a name of the zoo or by a genotype's file: what commands take as NAME|FILE."""

import dataclasses
import re
from pathlib import Path

from tvnjax.core.errors import InvalidInputError
from tvnjax.core.printable import NAME, printable
from tvnjax.graph import HeadKind, Network
from tvnjax.spaces.base import Genotype, Reads
from tvnjax.spaces.registry import read_genotype
from tvnjax.zoo.registry import ZOO, ZooEntry, zoo_entry

CUSTOM_CLASSES = 339
"""Classes of a genotype's file where nothing says how many: those of the paper's main set, Moments in Time."""


def find_network(
    name: str, *, num_frames: int | None = None, image_size: int | None = None, frame_stride: int | None = None
) -> ZooEntry:
    """The network of a name or of a file, for its own input unless told otherwise.

    Raises:
        InvalidInputError: there is neither a network nor a file of that name, or the file holds no genotype.
    """
    if name in ZOO:
        entry = zoo_entry(name)
    elif Path(name).suffix == ".json" or Path(name).exists():
        # The name becomes one of folders: without what ``core.untrusted.require_portable`` refuses in those.
        entry = of_genotype(re.sub(r"[\\\[*]", "_", printable(Path(name).stem, NAME)), read_genotype(Path(name)))
    else:
        entry = zoo_entry(name)  # refuses, and names the nearest
    asked = {"num_frames": num_frames, "image_size": image_size, "frame_stride": frame_stride}
    sizes: dict[str, int] = {what: value for what, value in asked.items() if value is not None}
    for what, value in sizes.items():
        if value < 1:
            raise InvalidInputError(f"{what} is at least 1; got {value}")
    entry = dataclasses.replace(entry, **sizes)  # type: ignore[arg-type]
    if entry.genotype is None:
        return entry
    reads = Reads(entry.num_frames, entry.frame_stride, entry.image_size)
    return dataclasses.replace(entry, genotype=entry.genotype.reading(reads))


def of_genotype(name: str, genotype: Genotype, source: str = "a genotype") -> ZooEntry:
    """A genotype of one's own beside the networks of the zoo."""
    return ZooEntry(
        name=name,
        source=source,
        **genotype.reads._asdict(),
        num_classes=CUSTOM_CLASSES,
        genotype=genotype,
    )


def reading(entry: ZooEntry) -> Reads:
    """What a network reads of a video; the frame stride of a single frame is 1."""
    return Reads(entry.num_frames, entry.frame_stride, entry.image_size).settled()


def lower_for(entry: ZooEntry, num_classes: int, head: HeadKind | None = None, dropout: float | None = None) -> Network:
    """The network for a set of clips.

    Args:
        entry: from ``find_network``.
        num_classes: of the set.
        head: how a Tiny Video Network pools its scores.
        dropout: of the head; default: the network's own.

    Raises:
        InvalidInputError: the dropout is outside [0, 1), or a head is given to a network that has its own.
    """
    network = entry.network(num_classes, head=head)
    if dropout is None:
        return network
    if not 0 <= dropout < 1:
        raise InvalidInputError(f"dropout is in [0, 1); got {dropout}")
    return dataclasses.replace(network, head=dataclasses.replace(network.head, dropout=dropout))
