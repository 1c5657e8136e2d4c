"""A trained network on disk: what it is, which classes it names, where its weights are."""

import dataclasses
from pathlib import Path, PurePosixPath
from typing import Any

from tvnjax.core.checkpoint import is_checkpoint
from tvnjax.core.errors import InvalidInputError
from tvnjax.core.links import refuse_links
from tvnjax.core.run_dir import write_json
from tvnjax.graph import HeadKind, Network
from tvnjax.nn.saved_weights import read_trained
from tvnjax.spaces.registry import read_genotype
from tvnjax.training.version_01 import clips_of_search, clips_of_training
from tvnjax.zoo.registry import ZooEntry
from tvnjax.zoo.resolve import of_genotype
from tvnjax.zoo.run_facts import classes_and_head, is_file_name, read_object
from tvnjax.zoo.trained import TrainedNetwork, trained_from_json

NETWORK_FILE = "network.json"
CLIPS_FILE = "clips.jsonl"
"""Which clips a run had, in which splits (see ``data.contents``)."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class SavedNetwork:
    """A trained network."""

    trained: TrainedNetwork
    weights: Path
    """The checkpoint."""

    @property
    def entry(self) -> ZooEntry:
        return self.trained.entry

    @property
    def classes(self) -> tuple[str, ...]:
        return self.trained.classes

    @property
    def head(self) -> HeadKind | None:
        return self.trained.head

    @property
    def network(self) -> Network:
        return self.trained.network


def write_network(run: Path, saved: SavedNetwork) -> None:
    """Writes what ``open_saved`` reads, beside the weights, which say the same."""
    entry = saved.entry
    write_json(run / NETWORK_FILE, saved.trained.as_json() | {"weights": saved.weights.relative_to(run).as_posix()})
    if entry.genotype is not None:
        write_json(run / "genotypes" / f"{entry.name}.json", entry.genotype.to_json())


def open_saved(path: Path) -> SavedNetwork:
    """A trained network by its run (of ``tvnjax train``) or by its checkpoint (also of ``tvnjax run``).

    Weights say themselves what they are, wherever the checkpoint lies; those of version 0.1 do not, and are described
    by the run they lie in.

    Raises:
        InvalidInputError: there is none, the run has several and the checkpoint has to be named, what is told of it is
            damaged, or the run and the checkpoint tell different things.
    """
    run = path.absolute().parent.parent
    if is_checkpoint(path) and (trained := read_trained(path)) is not None:
        return SavedNetwork(trained=_checked(trained, path, run), weights=path)
    for place in (path, run):
        if (place / NETWORK_FILE).is_file():
            return _of_training(place, path)
    if (run / "genotypes" / f"{path.name}.json").is_file() and (run / "results.json").is_file():
        return SavedNetwork(trained=_of_search(run, path.name), weights=run / "checkpoints" / path.name)
    if (path / "checkpoints").is_dir():
        names = sorted(file.stem for file in (path / "genotypes").glob("*.json"))
        raise InvalidInputError(
            f"a run of a search has several networks; {path} has {', '.join(names) or 'none yet'}: "
            f"name one as {path}/checkpoints/NAME"
        )
    raise InvalidInputError(
        f"a trained network is a run of 'tvnjax train' or a folder of a run's checkpoints; {path} is neither: "
        "check the path"
    )


def _of_training(run: Path, path: Path) -> SavedNetwork:
    refuse_links(run)
    where = run / NETWORK_FILE
    told = read_object(where)
    weights = run / _weights(told.get("weights"), where)
    trained = read_trained(weights) if is_checkpoint(weights) else None
    if trained is None:
        trained = trained_from_json(told, where)
        if trained.clips is None:
            trained = dataclasses.replace(trained, **clips_of_training(run, trained.entry))
    return SavedNetwork(trained=_checked(trained, weights, run), weights=weights)


def _checked(trained: TrainedNetwork, weights: Path, run: Path) -> TrainedNetwork:
    """The description, where the files of the run the weights lie in say nothing else.

    Raises:
        InvalidInputError: they do.
    """
    told = run / NETWORK_FILE
    file = run / "genotypes" / f"{weights.name}.json"
    if told.is_file() or file.is_file():
        refuse_links(run)
    if told.is_file():
        beside = trained_from_json(read_object(told), told)
    elif trained.entry.genotype is not None and file.is_file():
        told = file
        beside = dataclasses.replace(trained, entry=of_genotype(trained.entry.name, read_genotype(file)))
    else:
        return trained
    for what, ours, theirs in (
        *((name, trained.ids[name], beside.ids[name]) for name in trained.ids),
        ("classes", trained.classes, beside.classes),
    ):
        if ours != theirs:
            raise InvalidInputError(
                f"a run's files describe the weights that lie in it; {weights} has {what} {ours!r:.80}, {told} has "
                f"{theirs!r:.80}: one of them is another network's; name the checkpoint of this one"
            )
    return trained


def _of_search(run: Path, name: str) -> TrainedNetwork:
    refuse_links(run)
    entry = of_genotype(name, read_genotype(run / "genotypes" / f"{name}.json"))
    classes, head = classes_and_head(run)
    if classes is None:
        raise InvalidInputError(f"a finished run names its classes; {run / 'results.json'} does not")
    return TrainedNetwork(entry=entry, classes=classes, head=head, **clips_of_search(run))


def _weights(told: Any, where: Path) -> PurePosixPath:
    path = PurePosixPath(told) if isinstance(told, str) and told and is_file_name(told) else None
    if path is None or path.is_absolute() or ".." in path.parts:
        raise InvalidInputError(f"weights lie in the directory of their run; {where} has {told!r:.60}")
    return path
