"""A trained network on disk: what it is, which classes it names, where its weights are."""

import dataclasses
from pathlib import Path
from typing import Any

from tvnjax.core.errors import InvalidInputError
from tvnjax.core.run_dir import read_json, write_json
from tvnjax.space.genotype import genotype_from_json, read_genotype
from tvnjax.space.network import HeadKind, Network
from tvnjax.zoo.registry import ZooEntry
from tvnjax.zoo.resolve import find_network, lower_for, of_genotype

NETWORK_FILE = "network.json"


@dataclasses.dataclass(frozen=True, kw_only=True)
class SavedNetwork:
    """A trained network."""

    entry: ZooEntry
    classes: tuple[str, ...]
    head: HeadKind | None
    weights: Path
    """The checkpoint."""

    @property
    def network(self) -> Network:
        return lower_for(self.entry, len(self.classes), self.head)


def write_network(run: Path, saved: SavedNetwork) -> None:
    """Writes what ``open_saved`` reads, beside the weights."""
    entry = saved.entry
    write_json(
        run / NETWORK_FILE,
        {
            "name": entry.name,
            "genotype": None if entry.genotype is None else entry.genotype.to_json(),
            "num_frames": entry.num_frames,
            "frame_stride": entry.frame_stride,
            "image_size": entry.image_size,
            "classes": saved.classes,
            "head": saved.head,
            "weights": str(saved.weights.relative_to(run)),
        },
    )
    if entry.genotype is not None:
        write_json(run / "genotypes" / f"{entry.name}.json", entry.genotype.to_json())


def open_saved(path: Path) -> SavedNetwork:
    """A trained network by its run (of ``tvnjax train``) or by its checkpoint (also of ``tvnjax run``).

    Raises:
        InvalidInputError: there is none, or the run has several and the checkpoint has to be named.
    """
    for run in (path, path.absolute().parent.parent):
        if (run / NETWORK_FILE).is_file():
            return _of_training(run)
    run = path.absolute().parent.parent
    if (run / "genotypes" / f"{path.name}.json").is_file() and (run / "results.json").is_file():
        return _of_search(run, path.name)
    if (path / "checkpoints").is_dir():
        names = sorted(folder.name for folder in (path / "genotypes").glob("*.json"))
        raise InvalidInputError(
            f"a run of a search has several networks; {path} has {', '.join(names)}: "
            f"name one as {path}/checkpoints/NAME"
        )
    raise InvalidInputError(
        f"a trained network is a run of 'tvnjax train' or a folder of a run's checkpoints; {path} is neither: "
        "check the path"
    )


def _of_training(run: Path) -> SavedNetwork:
    told: dict[str, Any] = read_json(run / NETWORK_FILE)
    try:
        sizes = {name: told[name] for name in ("num_frames", "image_size")}
        if told["genotype"] is None:
            entry = find_network(told["name"], **sizes)
        else:
            entry = of_genotype(told["name"], genotype_from_json(told["genotype"]))
        entry = dataclasses.replace(entry, frame_stride=told["frame_stride"])
        return SavedNetwork(
            entry=entry, classes=tuple(told["classes"]), head=told["head"], weights=run / told["weights"]
        )
    except (KeyError, TypeError) as error:
        raise InvalidInputError(f"{run / NETWORK_FILE} tells what a network is; {error} is missing in it") from None


def _of_search(run: Path, name: str) -> SavedNetwork:
    entry = of_genotype(name, read_genotype(run / "genotypes" / f"{name}.json"))
    classes = read_json(run / "results.json").get("data", {}).get("class_names")
    if not classes:
        raise InvalidInputError(f"a finished run names its classes; {run / 'results.json'} does not")
    head = None
    if (run / "config.json").is_file():
        head = read_json(run / "config.json").get("config", {}).get("head")
    return SavedNetwork(entry=entry, classes=tuple(classes), head=head, weights=run / "checkpoints" / name)
