"""The options of a run that people ask for; ``--help-all`` prints all of them."""

import textwrap
import typing
from typing import Any

from tvnjax.cli.option_names import flag, options_of
from tvnjax.core.printable import printable, standard_output
from tvnjax.running.preset_lines import PRESET_LINES
from tvnjax.search.registry import StrategyChoice, known_strategies
from tvnjax.spaces.tvn.asked_for import ASKED_FOR_OF_SPACE

_OWN_CLIPS = (
    ("data.manifest", "your clips: a CSV of path,label[,start_frame,end_frame][,split]"),
    ("data.folder", "your clips: a folder of CLASS/video or {train,val,test}/CLASS/video"),
)
_DRAWN = (
    ("data.task", "what the clips that are drawn show"),
    ("data.train_clips", "how many of them are to train on"),
)
_DATA = {"clips": _OWN_CLIPS, "tvn-gpu": _OWN_CLIPS, "tvn-tpu": _OWN_CLIPS, "quick": _DRAWN, "planted": _DRAWN}
_COMMON: tuple[tuple[str, str], ...] = (
    ("out", "directory of the run"),
    ("seed", "of the strategies, the weights and the order of the clips"),
    ("budget.ms", "milliseconds a network may take"),
    ("budget.params", "parameters it may have"),
    ("runtime", "whose latency counts"),
    *ASKED_FOR_OF_SPACE,
    ("strategies", "what searches"),
    ("search.steps", "steps of the gradient search"),
    ("search.latency_weight", "how much its loss weighs the latency"),
    ("baseline_ratio", "seconds of the other strategies, as a multiple of the gradient search's"),
    ("retrain.steps", "steps of the last training of each network found"),
    ("retrain_seeds", "last trainings of each; more than one give a mean"),
    ("reproducible", "decide by counts, not by clocks: the same seed, the same result"),
)
ASKED_FOR = {preset: (*_COMMON[:2], *data, *_COMMON[2:]) for preset, data in _DATA.items()}
"""Path and what it does, twenty for each preset."""

_ABSENT = {
    "out": "runs/PRESET-DATE-TIME",
    "budget.ms": "half of what the largest network takes",
    "budget.params": "any number",
    "shapes.num_blocks": "all that are listed",
}
"""What holds where an option is not given, and has no value."""
_OF_A_PROFILE = ("data.", "runtime", "shapes.", "operators.")
"""How the options begin that a profile depends on."""

_OWN = {
    "run": (
        ("--config FILE", "take options from a TOML or JSON file, or a run's config.json; options beside it win"),
        ("--print-config", "print a config file with every option of this run, and run nothing"),
        ("--resume DIR", "go on with a run that was stopped or killed"),
        ("--fork NEW_DIR", "go on with a copy of the run that --resume names, with other options"),
    ),
    "profile": (
        ("--config FILE", "take options from a TOML or JSON file, or a run's config.json; options beside it win"),
        ("--verify N", "measure N further networks, and compare them with what is predicted"),
        ("--classes N", "classes of the networks"),
    ),
}
_EVERYWHERE = (
    ("--quiet", "print the result alone"),
    ("--json", "print the result as JSON"),
    ("--help-all", "all options"),
)
_WIDTH, _LEFT = 110, 34


def print_short_help(command: str, preset: str | None, config: Any) -> None:
    """Prints how to call a command, its own options, and those of a preset that people ask for.

    Args:
        command: ``run`` or ``profile``.
        preset: whose options; ``None`` for those of ``quick`` without their defaults.
        config: the preset's configuration; ``None`` without a preset.
    """
    lines = [*_usage(command, preset), ""]
    for option, does in (*_OWN[command], *_EVERYWHERE):
        lines += _entry(option, does)
    lines.append("")
    known = {} if config is None else {option.path: option for option in options_of(type(config), config)}
    for path, does in ASKED_FOR[preset or "quick"]:
        if command == "profile" and not path.startswith(_OF_A_PROFILE):
            continue
        option = known.get(path)
        choices = [] if option is None else _choices(option.kind)
        does += f": {', '.join(choices)}" if choices else ""
        default = None if option is None else option.default
        default = _ABSENT.get(path) if default in (None, ()) else _shown(default)
        lines += _entry(flag(path), does + (f" (default: {default})" if default else ""))
    end = f"tvnjax {command} {preset or 'PRESET'} --help-all"
    lines += ["", f"'{end}' lists all options of {'this' if preset else 'a'} preset, with the defaults."]
    with standard_output():
        print(printable("\n".join(lines), 100_000, keep="\n"))


def _usage(command: str, preset: str | None) -> list[str]:
    lines = [f"usage: tvnjax {command} {preset or ('[PRESET]' if command == 'profile' else 'PRESET')} [options]"]
    if command == "run" and preset is None:
        lines += [
            "       tvnjax run --config FILE [options]",
            "       tvnjax run --resume DIR                              go on with a run that was stopped or killed",
            "       tvnjax run --resume DIR --fork NEW_DIR [options]     go on with a copy of it, with other options",
        ]
    if preset is not None:
        return [*lines, "", PRESET_LINES[preset]]
    return [*lines, "", *(f"  {name:<8} {line}" for name, line in PRESET_LINES.items())]


def _entry(option: str, does: str) -> list[str]:
    wrapped = textwrap.wrap(does, _WIDTH - _LEFT, break_on_hyphens=False)
    return [f"  {option:<{_LEFT - 3}} {wrapped[0]}", *(f"{'':<{_LEFT}}{line}" for line in wrapped[1:])]


def _shown(value: Any) -> str:
    return " ".join(map(str, value)) if isinstance(value, tuple) else str(value)


def _choices(kind: Any) -> list[str]:
    """The words an option, or each of its values, is one of."""
    if kind == StrategyChoice:
        return [*known_strategies()]
    if typing.get_origin(kind) is typing.Literal:
        return [str(choice) for choice in typing.get_args(kind)]
    return [choice for part in typing.get_args(kind) if part is not type(None) for choice in _choices(part)]
