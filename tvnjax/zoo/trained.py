"""What a set of weights is: which network, for which classes, trained on which clips. It is kept with the weights."""

import dataclasses
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from tvnjax.core.errors import InvalidInputError
from tvnjax.graph import HeadKind, Network
from tvnjax.graph.identity import layers_id
from tvnjax.spaces.base import Reads
from tvnjax.spaces.registry import genotype_from_json
from tvnjax.zoo.registry import ZOO, ZooEntry
from tvnjax.zoo.resolve import find_network, lower_for, of_genotype
from tvnjax.zoo.run_facts import check_classes, check_head

FORMAT = 1
"""Raised with every change of what a description means."""
SIZES = {"num_frames": 1024, "frame_stride": 1024, "image_size": 1024}
"""What a network reads at most; beyond it, a number in a file is a damaged one."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class TrainedNetwork:
    """A network and what its weights were trained for."""

    entry: ZooEntry
    """At the sizes it was trained at."""
    classes: tuple[str, ...]
    """In the order of the scores."""
    head: HeadKind | None = None
    clips: Mapping[str, Any] | None = None
    """How the clips it was trained on were made, as ``data.preparation.Preparation`` writes and reads it (a network
    is described without the packages that read clips); None where weights of version 0.1 do not say."""
    trained_on: str = ""
    """Splits, as in ``train+val``; empty where weights of version 0.1 do not say."""

    @property
    def network(self) -> Network:
        return lower_for(self.entry, len(self.classes), self.head)

    @property
    def ids(self) -> dict[str, str | None]:
        """What tells networks apart whose weights have the same shapes."""
        genotype = self.entry.genotype
        return {
            "genotype_id": None if genotype is None else genotype.id,
            "layers": layers_id(self.network),
        }

    def as_json(self) -> dict[str, Any]:
        """What :func:`trained_from_json` reads."""
        entry = self.entry
        return {
            "format": FORMAT,
            "name": entry.name,
            "genotype": None if entry.genotype is None else entry.genotype.to_json(),
            **self.ids,
            **{name: getattr(entry, name) for name in SIZES},
            "classes": list(self.classes),
            "head": self.head,
            "clips": self.clips,
            "trained_on": self.trained_on,
        }


def trained_from_json(told: dict[str, Any], where: Path) -> TrainedNetwork:
    """Reads a description from parsed JSON; one of version 0.1 has no ``format`` and says nothing of clips.

    Raises:
        InvalidInputError: a field is missing or cannot be, or the ids are not those of the network.
    """
    for name in ("name", "genotype", "classes", "head", *SIZES):
        if name not in told:
            raise InvalidInputError(f"{where} tells what a network is; {name!r} is missing in it")
    if told.get("format", FORMAT) != FORMAT:
        raise InvalidInputError(
            f"{where} describes weights in format {told['format']!r:.20}; this version reads {FORMAT}: use the version "
            "that wrote them"
        )
    sizes = {name: _size(told, name, where) for name in SIZES}
    if told["genotype"] is not None:
        genotype = genotype_from_json(told["genotype"]).reading(Reads(**sizes))
        entry = of_genotype(_name(told, where), genotype)
    else:
        entry = find_network(_zoo_name(told, where), **sizes)
    clips = told.get("clips")
    if clips is not None and not isinstance(clips, dict):
        raise InvalidInputError(f"how clips were made is a JSON object; {where} has {clips!r:.60}")
    trained = TrainedNetwork(
        entry=entry,
        classes=check_classes(told["classes"], where),
        head=check_head(told["head"], where),
        clips=clips,
        trained_on=_splits(told.get("trained_on", ""), where),
    )
    for name, own in trained.ids.items():
        if "format" in told and told.get(name) != own:
            raise InvalidInputError(
                f"{where} tells of a network whose {name} is {told.get(name)!r:.40}, and what it describes has {own}: "
                "it is damaged, or this version builds that network otherwise; use the version that wrote it"
            )
    return trained


def _size(told: dict[str, Any], name: str, where: Path) -> int:
    value, most = told[name], SIZES[name]
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


def _splits(value: Any, where: Path) -> str:
    if not isinstance(value, str) or len(value) > 40:
        raise InvalidInputError(f"splits trained on are named as in 'train+val'; {where} has {value!r:.60}")
    return value
