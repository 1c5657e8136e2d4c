"""Options of a command, read by tyro, refused in one line."""

import contextlib
import io
import math
import re
from collections.abc import Sequence
from typing import Annotated, Any

import tyro
from tyro.constructors import ConstructorRegistry, PrimitiveConstructorSpec, PrimitiveTypeInfo

from tvnjax.core.errors import InvalidInputError, did_you_mean
from tvnjax.core.printable import printable, standard_output
from tvnjax.core.sizes import LARGEST, MOST_WHOLE, SMALLEST, check_sizes


def parse_preset(command: str, argv: list[str], around: Any = None) -> tuple[str, Any]:
    """The preset named first, with the options behind it.

    Args:
        around: a dataclass with further options, whose field ``config`` takes the preset's.
    """
    from tvnjax.running.config import PRESETS

    names = ", ".join(PRESETS)
    if not argv or argv[0] in ("-h", "--help"):
        lines = "\n".join(f"  {name:<8} {line}" for name, (line, _) in PRESETS.items())
        with standard_output():
            print(
                f"usage: tvnjax {command} PRESET [options]\n{_more(command)}\n{lines}\n\n"
                f"'tvnjax {command} PRESET --help' lists the options."
            )
        raise SystemExit(0 if argv else 2)
    preset = argv[0]
    if preset not in PRESETS:
        raise InvalidInputError(f"a preset is one of {names}; got {preset!r}{did_you_mean(preset, PRESETS)}")
    line, default = PRESETS[preset]
    if around is not None:
        default = around(config=default)
    return preset, parse_options(default, argv[1:], prog=f"tvnjax {command} {preset}", description=line)


def _more(command: str) -> str:
    if command != "run":
        return ""
    return (
        "       tvnjax run --resume DIR                              go on with a run that was stopped or killed\n"
        "       tvnjax run --resume DIR --fork NEW_DIR [options]     go on with a copy of it, with other options\n"
    )


def parse_options(default: Any, argv: Sequence[str], *, prog: str, description: str) -> Any:
    """Overrides fields of a configuration from options such as ``--search.steps 100``.

    Raises:
        InvalidInputError: an option is unknown (the nearest is named) or its value is of the wrong kind.
    """
    # A field that may be one of several classes keeps the class the preset gave it.
    kind: Any = Annotated[type(default), tyro.conf.arg(name="")]
    return parse_command(kind, argv, prog=prog, description=description, default=default)


def parse_command(kind: Any, argv: Sequence[str], *, prog: str, flags: bool = False, **options: Any) -> Any:
    """Reads a dataclass from a command's options.

    Args:
        kind: the dataclass.
        argv: the options.
        prog: the command, for messages.
        flags: whether true-or-false options are switches (``--measure``) and take no value.
        options: for ``tyro.cli``.

    Raises:
        InvalidInputError: an option is unknown, missing or of the wrong kind.
    """
    messages = io.StringIO()
    refused: list[str] = []
    try:
        with contextlib.redirect_stderr(messages), standard_output():
            switches = tyro.conf.FlagCreatePairsOff if flags else tyro.conf.FlagConversionOff
            config = (tyro.conf.AvoidSubcommands, switches)
            made = tyro.cli(kind, args=list(argv), prog=prog, config=config, registry=_registry(refused), **options)
    except SystemExit as exit:
        if not exit.code:
            raise
        raise InvalidInputError(_one_line(messages.getvalue(), prog, refused)) from None
    check_sizes(made)
    return made


def whole_number(text: str) -> int:
    """A whole number that 32 bits hold.

    Raises:
        ValueError: the text is none.
    """
    if not re.fullmatch(r"\s*[+-]?[0-9]+(?:_[0-9]+)*\s*", text):
        raise ValueError(f"{printable(text, 60)!r} is no whole number")
    # Python itself reads no more than 4,300 digits.
    if len(text.strip()) > 40 or abs(int(text)) > MOST_WHOLE:
        raise ValueError(f"a whole number is at most {MOST_WHOLE:,} in size; got {printable(text.strip(), 60)}")
    return int(text)


def fraction(text: str) -> float:
    """A number that float32 holds; -0 is 0.

    Raises:
        ValueError: the text is none.
    """
    try:
        value = float(text)
    except ValueError:
        raise ValueError(f"{printable(text, 60)!r} is no number") from None
    written_as_zero = not re.search(r"[1-9]", re.split("[eE]", text)[0])
    if not math.isfinite(value) or not (SMALLEST <= abs(value) <= LARGEST or (value == 0 and written_as_zero)):
        raise ValueError(f"a number is 0, or from {SMALLEST:g} to {LARGEST:g} in size; got {printable(text, 60)}")
    return value or 0.0


def _registry(refused: list[str]) -> ConstructorRegistry:
    """tyro's rules, with ours for numbers, which tell ``refused`` why: of a number that may be absent tyro lists all it
    tried."""
    registry = ConstructorRegistry()

    @registry.primitive_rule
    def numbers(info: PrimitiveTypeInfo) -> PrimitiveConstructorSpec[Any] | None:
        if info.type not in (int, float):
            return None
        rule = whole_number if info.type is int else fraction

        def read(words: list[str]) -> Any:
            try:
                return rule(words[0])
            except ValueError as error:
                refused.append(str(error))
                raise

        kinds = (int,) if info.type is int else (int, float)
        return PrimitiveConstructorSpec(
            nargs=1,
            metavar=info.type.__name__.upper(),
            instance_from_str=read,
            is_instance=lambda value: isinstance(value, kinds) and not isinstance(value, bool),
            str_from_instance=lambda value: [str(value)],
        )

    return registry


def _one_line(message: str, prog: str, refused: Sequence[str]) -> str:
    """tyro's boxed message as one sentence; of a number that was ``refused``, why."""
    text = re.sub(r"\x1b\[[0-9;]*m", "", message)
    # Boxes are drawn with dashes and bars where the terminal has no other lines.
    text = " ".join(re.sub(r"[│╭╮╰╯─┃━]+|-{4,}|(?m:^\| | \|$)", " ", text).split())
    text = re.split(r" For full helptext| Argument helptext:", text)[0]
    text = re.sub(r"^(Unrecognized options|Value error|Parsing error) (?=Unrecognized|Error|Missing)", "", text)
    if refused and (option := re.match(r"Error parsing (\S+):", text)):
        text = f"{option[1]}: {refused[0]}"
    text = re.sub(r"^Error parsing [\w.]+: ", "", text)
    text = re.sub(r"^(Invalid choice (?=invalid choice)|Missing argument (?=Missing value))", "", text)
    if missing := re.match(r"(?:Required options )?Missing from [\w -]+: (.*)", text):
        text = f"{prog} needs {'; and '.join(map(_needed, missing[1].split('(required)')[:-1]))}"
    text = re.sub(r" Perhaps you meant: (--[\w.-]+).*", r" (did you mean \1?)", text)
    return f"{text}; '{prog} --help' lists the options"


def _needed(told: str) -> str:
    """``--out PATH (where to write)``; of what has no name, what it is."""
    told = told.strip()
    told = told if told.endswith("...") else told.removesuffix(".")
    option = re.match(r"(--[\w.-]+ [A-Z{\[]\S*) (.*)", told)
    name, does = option.groups() if option else ("", re.sub(r"^[A-Z]+(?: \[[A-Z]+ \.\.\.\])? ", "", told))
    does = re.sub(r"^[A-Z](?=[a-z ])", lambda first: first[0].lower(), does)
    return f"{name} ({does})" if name else does
