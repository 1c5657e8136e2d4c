"""Which network an export is of: the one that was asked for, where the checkpoint is that network's."""

import dataclasses
import warnings
from pathlib import Path

from tvnjax.core.errors import InvalidInputError
from tvnjax.graph import HeadKind
from tvnjax.graph.identity import layers_id
from tvnjax.training.saved import SavedNetwork
from tvnjax.training.start import read_start
from tvnjax.zoo.registry import ZOO, ZooEntry
from tvnjax.zoo.resolve import find_network
from tvnjax.zoo.trained import SIZES, TrainedNetwork


def network_to_export(
    network: str,
    checkpoint: Path,
    *,
    classes: tuple[str, ...] | None = None,
    head: HeadKind | None = None,
    num_frames: int | None = None,
    image_size: int | None = None,
) -> SavedNetwork:
    """The trained network of a checkpoint, checked to be the one asked for.

    Args:
        network: a name of the zoo, at the sizes it was trained at, or a genotype's file.
        checkpoint: a folder of a run's ``checkpoints/``.
        classes: where the weights do not say.
        head: likewise.
        num_frames: checked against what it was trained at, where given.
        image_size: likewise.

    Raises:
        InvalidInputError: the checkpoint is another network's, or of other classes, sizes or head than asked for, or
            nobody says which classes it has.
    """
    start = read_start(checkpoint)
    stored = start.trained
    if stored is None:
        if not classes:
            raise InvalidInputError(
                f"an export names its classes; {checkpoint} does not and lies in no finished run that does: give "
                "--classes"
            )
        warnings.warn(
            f"{checkpoint} does not say what its weights are: that they are of {network}, of these classes in this "
            "order, rests on your word, and the description cannot say how clips are cut",
            stacklevel=2,
        )
        entry = find_network(network, num_frames=num_frames, image_size=image_size)
        trained = TrainedNetwork(entry=entry, classes=classes, head=head or ("mean" if entry.genotype else None))
        return SavedNetwork(trained=trained, weights=start.weights)
    sizes = {name: getattr(stored.entry, name) for name in SIZES}
    entry = find_network(network, num_frames=num_frames, image_size=image_size)
    if network in ZOO:
        given = {"num_frames": num_frames, "image_size": image_size}
        entry = find_network(network, **sizes | {name: size for name, size in given.items() if size is not None})
    _check_same(stored, entry, checkpoint)
    for what, ours, theirs in (("classes", stored.classes, classes), ("head", stored.head or "mean", head)):
        if theirs is not None and theirs != ours:
            raise InvalidInputError(
                f"an export has the {what} of its weights; {checkpoint} has {ours!r:.80}, and {theirs!r:.80} was asked "
                f"for: leave --{what} out"
            )
    return SavedNetwork(trained=stored, weights=start.weights)


def _check_same(stored: TrainedNetwork, entry: ZooEntry, checkpoint: Path) -> None:
    asked = dataclasses.replace(stored, entry=entry) if entry.genotype is not None or stored.head is None else None
    if asked is None or layers_id(asked.network) != layers_id(stored.network):
        raise InvalidInputError(
            f"a checkpoint fits the network it was made of; {checkpoint} is of {stored.entry.name}, whose layers "
            f"are not those of {entry.name}: name the genotype of this checkpoint, or the checkpoint of that genotype"
        )
    for name in SIZES:
        ours, theirs = getattr(stored.entry, name), getattr(entry, name)
        if ours != theirs:
            raise InvalidInputError(
                f"an export reads what its network was trained on; {checkpoint} was trained with {name} {ours}, and "
                f"{theirs} was asked for: name the genotype of this checkpoint"
            )
