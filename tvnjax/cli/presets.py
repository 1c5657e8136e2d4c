"""Commands that start from a preset: its options, config files, and blocks that are added or left out."""

import dataclasses
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Any, NamedTuple

import tyro

from tvnjax.cli.blocks import check_blocks_kept, with_added_blocks
from tvnjax.cli.config_file import ConfigFile, read_config_file, typed_options
from tvnjax.cli.options import parse_command, parse_options
from tvnjax.cli.output import OutputOptions
from tvnjax.cli.refusals import RefusedOptionError
from tvnjax.core.errors import InvalidInputError, did_you_mean
from tvnjax.core.printable import say
from tvnjax.running.preset_lines import PRESET_LINES

HELP, HELP_ALL = ("-h", "--help"), "--help-all"


@dataclasses.dataclass(frozen=True, kw_only=True)
class PresetOptions(OutputOptions):
    """What is asked for besides the options of the preset."""

    config_file: Annotated[Path | None, tyro.conf.arg(name="config")] = None
    """Take options from this TOML or JSON file, or from a run's config.json; those given beside it win."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class RunOptions(PresetOptions):
    """What a run is asked for besides its configuration."""

    print_config: bool = False
    """Print a config file (TOML; JSON with --json) that gives this run again, and run nothing."""
    resume: Path | None = None
    """Go on with the run in this directory, with the options it began with."""
    fork: Path | None = None
    """Go on with a copy of the run that --resume names, in this directory, with other options."""


class Asked(NamedTuple):
    """What was asked for, all together."""

    preset: str
    options: Any
    """The command's options, the configuration in the field ``config``."""
    argv: list[str]
    """Preset and options that say the same again, without a file."""


def split_options(kind: type[PresetOptions], argv: Sequence[str], prog: str) -> tuple[Any, list[str]]:
    """The command's own options, wherever they stand, and the preset and its options.

    Raises:
        InvalidInputError: one of the command's own lacks its value.
    """
    return parse_command(kind, argv, prog=prog, flags=True, return_unknown_args=True, add_help=False)


def parse_preset(
    command: str,
    own: PresetOptions,
    around: type[Any],
    rest: Sequence[str],
    begun: Sequence[str] = (),
    fallback: str | None = None,
) -> Asked:
    """The preset's configuration, with the options of a config file and those given beside it.

    Args:
        command: its name.
        own: the command's own options, as they were read.
        around: the dataclass that has them all, and the preset's in the field ``config``.
        rest: preset and options. Without a preset the file's is taken.
        begun: preset and options that were given before, of a run that goes on; ``rest`` then names none.
        fallback: the preset where neither ``rest`` nor the file names one.

    Raises:
        InvalidInputError: there is no such preset, or an option is unknown or its value of the wrong kind.
    """
    from tvnjax.running.config import PRESETS

    file = None if own.config_file is None else read_config_file(own.config_file)
    if begun:
        preset, before, typed = _named(begun[0], file), list(begun[1:]), list(rest)
    else:
        named = rest[0] if rest and not rest[0].startswith("-") else None
        preset, before, typed = _named(named, file, fallback), [], list(rest[named is not None :])
    prog, default = f"tvnjax {command} {preset}", PRESETS[preset][1]
    told = {field.name: getattr(own, field.name) for field in dataclasses.fields(own)}

    def read(words: Sequence[str]) -> Any:
        start = around(config=with_added_blocks(default, words), **told)
        return parse_options(start, words, prog=prog, description=PRESET_LINES[preset], helping=f"{prog} {HELP_ALL}")

    if any(word in (*HELP, HELP_ALL) for word in typed):
        show_help(command, preset, around(config=default, **told), everything=HELP_ALL in typed)
    added: list[str] = []
    if file is not None:
        added = typed_options(file, read(before).config if before else default)
    words = [*before, *added, *typed]
    try:
        options = read(words)
    except RefusedOptionError as error:
        if file is not None and error.option in _names(added) - _names(typed):
            path = error.option.removeprefix("--").replace("-", "_")
            raise InvalidInputError(f"{file.path}: {path}{error.reason}") from None
        raise
    for index in check_blocks_kept(options.config, len(default.shapes.blocks), words):
        say(f"warning: shapes.num_blocks leaves out shapes.blocks.{index}, which has options", error=True)
    return Asked(preset, options, [preset, *words])


def show_help(command: str, preset: str | None, options: Any, *, everything: bool) -> None:
    """Prints the options people ask for, or all, and ends the process as ``--help`` does.

    Args:
        command: its name.
        preset: whose defaults are shown; ``None`` where none was named.
        options: all options with the preset's defaults; ``None`` without a preset.
        everything: whether to print all.

    Raises:
        SystemExit: always, with status 0.
    """
    from tvnjax.cli.short_help import print_short_help

    if everything and options is not None:
        parse_options(options, ["--help"], prog=f"tvnjax {command} {preset}", description=PRESET_LINES[preset or ""])
    print_short_help(command, preset, None if options is None else options.config)
    raise SystemExit(0)


def _named(name: str | None, file: ConfigFile | None, fallback: str | None = None) -> str:
    """The preset that is named, or that a file starts from."""
    told = None if file is None else file.preset
    if name is None and told is None:
        name = fallback
    if name is None and told is None:
        where = "" if file is None else f", behind the command or as preset in {file.path}"
        raise InvalidInputError(f"name a preset{where}: {', '.join(PRESET_LINES)}")
    for preset in (name, told):
        if preset is not None and preset not in PRESET_LINES:
            raise InvalidInputError(
                f"a preset is one of {', '.join(PRESET_LINES)}; got {preset!r}{did_you_mean(preset, PRESET_LINES)}"
            )
    if file is not None and name is not None and told not in (None, name):
        raise InvalidInputError(f"{file.path} starts from the preset {told}; got {name}: leave it out")
    return name or told or ""


def _names(words: Sequence[str]) -> set[str]:
    return {word.partition("=")[0].replace("_", "-") for word in words if word.startswith("--")}
