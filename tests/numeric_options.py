"""Every option of every command that takes a number, found from the dataclasses that commands read."""

import dataclasses
import types
import typing
from collections.abc import Iterator
from typing import Any

from tvnjax.cli.compare_genotypes import DiffOptions, ScaleOptions
from tvnjax.cli.export import ExportOptions
from tvnjax.cli.manifest import ManifestOptions
from tvnjax.cli.measure import MeasureOptions
from tvnjax.cli.options import parse_command, parse_options
from tvnjax.cli.profile import ProfileOptions
from tvnjax.cli.replay import ReplayOptions
from tvnjax.cli.show import ShowOptions
from tvnjax.cli.tables import TablesOptions
from tvnjax.cli.train import EnsembleOptions, EvaluateOptions, TrainOptions
from tvnjax.cli.zoo import ZooOptions
from tvnjax.running.config import PRESETS

COMMANDS: dict[str, tuple[type, list[str], bool]] = {
    "train": (TrainOptions, ["tvn1", "--data", "clips"], True),
    "evaluate": (EvaluateOptions, ["run", "--data", "clips"], True),
    "ensemble": (EnsembleOptions, ["run", "other", "--data", "clips"], True),
    "measure": (MeasureOptions, ["tvn1"], False),
    "zoo": (ZooOptions, [], True),
    "tables": (TablesOptions, [], True),
    "show": (ShowOptions, ["tvn1"], True),
    "diff": (DiffOptions, ["tvn1", "tvn2"], False),
    "scale": (ScaleOptions, ["tvn1"], True),
    "replay": (ReplayOptions, ["table.jsonl"], False),
    "export": (ExportOptions, ["tvn1", "--checkpoint", "folder"], False),
    "manifest": (ManifestOptions, ["ucf101", "list.txt", "--videos", "folder"], True),
}
"""Of each command without presets: what it reads, what it needs, and whether its switches stand alone."""


def numeric(kind: Any) -> bool:
    """Whether a field of this type takes a number, or several."""
    if kind in (int, float):
        return True
    if typing.get_origin(kind) in (typing.Union, types.UnionType, tuple, typing.Annotated):
        return any(numeric(part) for part in typing.get_args(kind))
    return False


def options_of(kind: type, default: Any = None, before: str = "") -> Iterator[str]:
    """Names such as ``--search.steps`` of a dataclass's options, those of the dataclasses inside it too."""
    hints = typing.get_type_hints(kind, include_extras=True)
    for field in dataclasses.fields(kind):
        name = f"{before}{field.name.replace('_', '-')}"
        value = getattr(default, field.name, None)
        if dataclasses.is_dataclass(value):
            yield from options_of(type(value), value, "" if field.name == "config" else f"{name}.")
        elif isinstance(value, tuple) and value and dataclasses.is_dataclass(value[0]):
            for index, item in enumerate(value):
                yield from options_of(type(item), item, f"{name}.{index}.")
        elif numeric(hints[field.name]):
            yield f"--{name}"


def all_options() -> list[tuple[str, str]]:
    """(command or ``run PRESET``, option) of every option with a number."""
    found = [(f"run {name}", option) for name, (_, c) in PRESETS.items() for option in options_of(type(c), c)]
    around = ProfileOptions(config=PRESETS["quick"][1])
    found += [("profile quick", option) for option in options_of(ProfileOptions, around)]
    return found + [(name, option) for name, (kind, _, _) in COMMANDS.items() for option in options_of(kind)]


def parse(command: str, option: str, value: str) -> Any:
    """What the command's options become with one of them set; nothing is run."""
    name, _, preset = command.partition(" ")
    if not preset:
        kind, needed, flags = COMMANDS[name]
        return parse_command(kind, [*needed, option, value], prog=f"tvnjax {name}", flags=flags)
    default = PRESETS[preset][1]
    around = ProfileOptions(config=default) if name == "profile" else default
    return parse_options(around, [option, value], prog=f"tvnjax {command}", description="")
