"""Options of a command, read by tyro, refused in one line."""

import typing
from collections.abc import Sequence
from typing import Annotated, Any

import tyro
from tyro.constructors import ConstructorRegistry, PrimitiveConstructorSpec, PrimitiveTypeInfo

from tvnjax.cli.numbers import fraction, whole_number
from tvnjax.cli.option_names import options_of
from tvnjax.cli.refusals import refusing
from tvnjax.core.printable import standard_output
from tvnjax.core.sizes import check_sizes
from tvnjax.search.registry import StrategyChoice, known_strategies, name_of

_BOOLEANS = ("True", "False")


def parse_options(default: Any, argv: Sequence[str], *, prog: str, description: str, helping: str = "") -> Any:
    """Overrides fields of a configuration from options such as ``--search.steps 100``.

    Args:
        default: the configuration.
        argv: the options.
        prog: the command, for messages.
        description: what stands above the options in the help.
        helping: what lists all options. Default: the command with ``--help``.

    Raises:
        InvalidInputError: an option is unknown (the nearest is named) or its value is of the wrong kind.
    """
    # A field that may be one of several classes keeps the class the preset gave it.
    kind: Any = Annotated[type(default), tyro.conf.arg(name="")]
    return parse_command(kind, argv, prog=prog, description=description, default=default, helping=helping)


def parse_command(
    kind: Any, argv: Sequence[str], *, prog: str, flags: bool = False, helping: str = "", **options: Any
) -> Any:
    """Reads a dataclass from a command's options.

    Args:
        kind: the dataclass.
        argv: the options.
        prog: the command, for messages.
        flags: whether true-or-false options are switches that take no value (``--measure``). Otherwise they may stand
            alone for true, or have one (``--reproducible``, ``--data.flip False``).
        helping: what lists all options. Default: the command with ``--help``.
        options: for ``tyro.cli``.

    Raises:
        InvalidInputError: an option is unknown, missing or of the wrong kind.
    """
    told: list[str] = []
    default = options.get("default")

    def known() -> list[str]:
        plain = typing.get_args(kind)[0] if typing.get_origin(kind) is Annotated else kind
        return [option.flag for option in options_of(plain, default)]

    switches = tyro.conf.FlagCreatePairsOff if flags else tyro.conf.FlagConversionOff
    config = (tyro.conf.AvoidSubcommands, switches)
    with standard_output(), refusing(prog, known, told, helping or f"{prog} --help"):
        made = tyro.cli(
            kind, args=list(argv), prog=prog, config=config, registry=option_rules(told, flags=flags), **options
        )
    check_sizes(made[0] if options.get("return_unknown_args") else made)
    return made


def option_rules(told: list[str], *, flags: bool) -> ConstructorRegistry:
    """tyro's rules, with ours for strategies, and for numbers, which tell ``told`` why: of a number that may be absent
    tyro lists all it tried. And where there are no switches, with ours for what is true or false."""
    registry = ConstructorRegistry()
    registry.primitive_rule(_strategies)

    @registry.primitive_rule
    def numbers(info: PrimitiveTypeInfo) -> PrimitiveConstructorSpec[Any] | None:
        if info.type not in (int, float):
            return None
        rule = whole_number if info.type is int else fraction

        def read(words: list[str]) -> Any:
            try:
                return rule(words[0])
            except ValueError as error:
                told.append(str(error))
                raise

        kinds = (int,) if info.type is int else (int, float)
        return PrimitiveConstructorSpec(
            nargs=1,
            metavar=info.type.__name__.upper(),
            instance_from_str=read,
            is_instance=lambda value: isinstance(value, kinds) and not isinstance(value, bool),
            str_from_instance=lambda value: [str(value)],
        )

    if not flags:
        registry.primitive_rule(_boolean)
        registry.primitive_rule(_booleans)
    return registry


def _strategies(info: PrimitiveTypeInfo) -> PrimitiveConstructorSpec[Any] | None:
    """The names that are registered when the options are read; objects are given from Python alone."""
    if info.type_origin is not tuple or typing.get_args(info.type) != (StrategyChoice, ...):
        return None
    known = known_strategies()
    return PrimitiveConstructorSpec(
        nargs="*",
        metavar=f"[{{{','.join(known)}}} [...]]",
        instance_from_str=tuple,
        is_instance=lambda value: isinstance(value, tuple),
        str_from_instance=lambda value: [name_of(item) for item in value],
        choices=known,
    )


def _boolean(info: PrimitiveTypeInfo) -> PrimitiveConstructorSpec[Any] | None:
    """``--reproducible``, ``--reproducible True``, ``--reproducible False``."""
    if info.type is not bool:
        return None

    def read(words: list[str]) -> bool:
        if len(words) > 1:
            raise ValueError(f"it is True or False; got {len(words)} values")
        return words != ["False"]

    return PrimitiveConstructorSpec(
        nargs=(0, 1),
        metavar="{True,False}",
        instance_from_str=read,
        is_instance=lambda value: isinstance(value, bool),
        str_from_instance=lambda value: [str(value)],
        choices=_BOOLEANS,
    )


def _booleans(info: PrimitiveTypeInfo) -> PrimitiveConstructorSpec[Any] | None:
    """Several of them, each with its value: the rule for one would leave open how many there are."""
    if info.type_origin is not tuple or typing.get_args(info.type) != (bool, ...):
        return None
    return PrimitiveConstructorSpec(
        nargs="*",
        metavar="[{True,False} ...]",
        instance_from_str=lambda words: tuple(word == "True" for word in words),
        is_instance=lambda value: isinstance(value, tuple) and all(isinstance(item, bool) for item in value),
        str_from_instance=lambda value: [str(item) for item in value],
        choices=_BOOLEANS,
    )
