"""The commands: a module for each, imported when it is called."""

import dataclasses
import importlib
from collections.abc import Callable
from typing import Any

from tvnjax.running.preset_lines import PRESET_LINES


@dataclasses.dataclass(frozen=True)
class Command:
    """One command."""

    module: str
    """Below ``tvnjax.cli``."""
    function: str
    """Takes the arguments, returns the exit status."""
    options: str
    """The dataclass of its options, in the same module or as MODULE:CLASS."""
    arguments: str
    """As the usage shows them."""
    does: str
    presets: bool = False
    """Whether the first argument names a preset, from which the options start."""

    def load(self) -> Callable[[list[str]], int]:
        """The command's function."""
        return getattr(importlib.import_module(f"tvnjax.cli.{self.module}"), self.function)

    def load_options(self) -> type[Any]:
        """The dataclass of its options."""
        module, _, name = self.options.rpartition(":")
        return getattr(importlib.import_module(f"tvnjax.cli.{module or self.module}"), name)


COMMANDS = {
    "run": Command(
        *("run", "run_command", "run_options:AllRunOptions", "PRESET | --config FILE | --resume DIR"),
        "search, retrain, compare; leaves a run directory with report.html",
        presets=True,
    ),
    "manifest": Command(
        *("manifest", "manifest_command", "ManifestOptions", "LAYOUT FILE... --videos DIR"),
        "a manifest of a published set (UCF101, Kinetics, ...) from its annotation files",
    ),
    "profile": Command(
        *("profile", "profile_command", "ProfileOptions", "[PRESET] [options]"),
        "measure a runtime for a preset's search space",
        presets=True,
    ),
    "measure": Command(
        *("measure", "measure_command", "MeasureOptions", "NAME|FILE... [options]"),
        "time whole networks, and count them",
    ),
    "report": Command(
        *("run", "report_command", "ReportOptions", "RUN_DIR"),
        "write a run directory's report again",
    ),
    "zoo": Command(
        *("zoo", "zoo_command", "ZooOptions", "[NAME ...] [options]"),
        "list the networks of the papers: counts, and latency here",
    ),
    "tables": Command(
        *("tables", "tables_command", "TablesOptions", "[TABLE ...] [options]"),
        "the paper's comparisons again: its figures beside counts, and latency here",
    ),
    "show": Command(
        *("show", "show_command", "ShowOptions", "NAME|FILE [options]"),
        "a network block by block, as a table or a drawing",
    ),
    "diff": Command(
        *("compare_genotypes", "diff_command", "DiffOptions", "A B"),
        "what two genotypes differ in",
    ),
    "scale": Command(
        *("compare_genotypes", "scale_command", "ScaleOptions", "FILE [options]"),
        "a larger or smaller relative of a genotype, and its cost",
    ),
    "train": Command(
        *("train", "train_command", "TrainOptions", "NAME|FILE --data ... [options]"),
        "train any network on any set of clips",
    ),
    "evaluate": Command(
        *("train", "evaluate_command", "EvaluateOptions", "RUN|CKPT --data ... [options]"),
        "score a trained network",
    ),
    "ensemble": Command(
        *("train", "ensemble_command", "EnsembleOptions", "RUN|CKPT ... --data ..."),
        "the mean of several networks' logits",
    ),
    "compare": Command(
        *("compare", "compare_command", "CompareOptions", "RUN... --out DIR"),
        "compare strategies over runs and seeds, on one page",
    ),
    "record": Command(
        *("replay", "record_command", "RecordOptions", "RUN... --out FILE"),
        "write a table of every network that some runs trained",
    ),
    "replay": Command(
        *("replay", "replay_command", "ReplayOptions", "TABLE [options]"),
        "run strategies on a table instead of by training",
    ),
    "export": Command(
        *("export", "export_command", "ExportOptions", "NAME|FILE --checkpoint ... [options]"),
        "write a trained network for another runtime: StableHLO, ONNX, TFLite",
    ),
}

USAGE = """usage: tvnjax COMMAND ...

Finds Tiny Video Networks by gradient under a measured latency budget, beside evolution and random search.

{commands}

Presets: {presets}

'tvnjax COMMAND --help' explains a command; 'tvnjax run PRESET --help-all' lists every option of a run.
Every command takes --quiet and --json. 'tvnjax --install-completion' completes commands and options with Tab.
"""


def usage() -> str:
    """What ``tvnjax --help`` prints."""
    calls = {name: f"tvnjax {name} {command.arguments}" for name, command in COMMANDS.items()}
    width = min(max(map(len, calls.values())), 52)
    lines = [
        f"  {calls[name]:<{width}}  {command.does}"
        if len(calls[name]) <= width
        else f"  {calls[name]}\n  {'':<{width}}  {command.does}"
        for name, command in COMMANDS.items()
    ]
    presets = "".join(f"\n  {name:<8} {line}" for name, line in PRESET_LINES.items())
    return USAGE.format(commands="\n".join(lines), presets=presets)
