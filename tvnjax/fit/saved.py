"""A trained network on disk: what it is, which classes it names, where its weights are."""

import dataclasses
from pathlib import Path, PurePosixPath
from typing import Any

from tvnjax.core.errors import InvalidInputError
from tvnjax.core.run_dir import write_json
from tvnjax.space.genotype import genotype_from_json, read_genotype
from tvnjax.space.network import HeadKind, Network
from tvnjax.zoo.registry import ZOO, ZooEntry
from tvnjax.zoo.resolve import find_network, lower_for, of_genotype
from tvnjax.zoo.run_facts import check_classes, check_head, classes_and_head, is_file_name, read_object

NETWORK_FILE = "network.json"
_SIZES = {"num_frames": 1024, "frame_stride": 1024, "image_size": 1024}
"""What a network reads at most; beyond it, a number in a file is a damaged one."""


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
        InvalidInputError: there is none, the run has several and the checkpoint has to be named, or what the run
            tells of it is damaged.
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
    where = run / NETWORK_FILE
    told = read_object(where)
    for name in ("name", "genotype", "num_frames", "frame_stride", "image_size", "classes", "head", "weights"):
        if name not in told:
            raise InvalidInputError(f"{where} tells what a network is; {name!r} is missing in it")
    sizes = {name: _size(told, name, where) for name in _SIZES}
    if told["genotype"] is not None:
        entry = of_genotype(_name(told, where), genotype_from_json(told["genotype"]))
    else:
        entry = find_network(_zoo_name(told, where), num_frames=sizes["num_frames"], image_size=sizes["image_size"])
    entry = dataclasses.replace(entry, frame_stride=sizes["frame_stride"])
    return SavedNetwork(
        entry=entry,
        classes=check_classes(told["classes"], where),
        head=check_head(told["head"], where),
        weights=run / _weights(told["weights"], where),
    )


def _of_search(run: Path, name: str) -> SavedNetwork:
    entry = of_genotype(name, read_genotype(run / "genotypes" / f"{name}.json"))
    classes, head = classes_and_head(run)
    if classes is None:
        raise InvalidInputError(f"a finished run names its classes; {run / 'results.json'} does not")
    return SavedNetwork(entry=entry, classes=classes, head=head, weights=run / "checkpoints" / name)


def _size(told: dict[str, Any], name: str, where: Path) -> int:
    value, most = told[name], _SIZES[name]
    if isinstance(value, bool) or not isinstance(value, int) or not 1 <= value <= most:
        raise InvalidInputError(f"{name} is a whole number from 1 to {most}; {where} has {value!r:.60}")
    return value


def _name(told: dict[str, Any], where: Path) -> str:
    if not isinstance(told["name"], str) or not told["name"]:
        raise InvalidInputError(f"a network has a name; {where} has {told['name']!r:.60}")
    return told["name"]


def _zoo_name(told: dict[str, Any], where: Path) -> str:
    name = _name(told, where)
    if name not in ZOO:  # never a file's name: the file would be another's
        raise InvalidInputError(f"a network without a genotype is one of the zoo; {where} has {name!r:.60}")
    return name


def _weights(told: Any, where: Path) -> PurePosixPath:
    path = PurePosixPath(told) if isinstance(told, str) and told and is_file_name(told) else None
    if path is None or path.is_absolute() or ".." in path.parts:
        raise InvalidInputError(f"weights lie in the directory of their run; {where} has {told!r:.60}")
    return path
