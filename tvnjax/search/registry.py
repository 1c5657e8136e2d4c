"""Strategies by name: what the engine has to know of each, the built-in ones and those of other packages.

A strategy of another package is registered as an entry point of the group ``tvnjax.strategies``, whose name is the
strategy's: a class of ``tvnjax.Strategy``'s kind, or a function that makes one without arguments. It is loaded when a
run asks for it, and not before.
"""

import dataclasses
import importlib.metadata
from collections.abc import Callable, Iterable, Mapping
from typing import Any, Protocol

from tvnjax.core.errors import InvalidInputError, did_you_mean
from tvnjax.search.base import AskTell
from tvnjax.search.own import OwnStrategy, UnmadeStrategyError, check_name, fresh, is_name, own_strategy, starter
from tvnjax.search.strategies.evolution import Evolution, EvolutionConfig
from tvnjax.search.strategies.optuna_search import OptunaConfig, OptunaSearch, check_installed
from tvnjax.search.strategies.random_search import RandomSearch
from tvnjax.search.strategies.successive_halving import HalvingConfig, SuccessiveHalving
from tvnjax.search.strategies.weight_sharing import SharingConfig, WeightSharing
from tvnjax.spaces.base import Space

GROUP = "tvnjax.strategies"

StrategyChoice = str | OwnStrategy
"""As a configuration has it: by name, or given from Python."""


class StrategyOptions(Protocol):
    """What the built-in strategies are told: a part of a run's configuration, or a replay's."""

    @property
    def evolution(self) -> EvolutionConfig: ...
    @property
    def regularized(self) -> EvolutionConfig: ...
    @property
    def halving(self) -> HalvingConfig: ...
    @property
    def sharing(self) -> SharingConfig: ...
    @property
    def optuna(self) -> OptunaConfig: ...


Make = Callable[[StrategyOptions, Space, int], AskTell]
"""Begins a strategy in a space, with a seed."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class Registered:
    """A strategy, and what the engine has to know of it."""

    name: str
    title: str = ""
    """As a sentence begins with it. Default: the name."""
    make: Make | None = None
    """Of those that ask for evaluations; a table can stand in for these."""
    by_gradient: bool = False
    """It is a search on a relaxation: it has no count of networks, and what it takes decides what others get."""
    seeded: bool = False
    """It starts from what the gradient search found."""
    shares_weights: bool = False
    """A supernet is trained for it, in whose weights it may score networks."""
    chooses: bool = True
    """What it proposes depends on what it was told; networks that do not are no sample of those chosen."""


def _random(options: StrategyOptions, space: Space, seed: int) -> AskTell:
    return RandomSearch(space, seed)


def _evolution(options: StrategyOptions, space: Space, seed: int) -> AskTell:
    return Evolution(space, options.evolution, seed)


def _regularized(options: StrategyOptions, space: Space, seed: int) -> AskTell:
    return Evolution(space, options.regularized, seed, name="regularized_evolution")


def _halving(options: StrategyOptions, space: Space, seed: int) -> AskTell:
    return SuccessiveHalving(space, options.halving, seed)


def _tpe(options: StrategyOptions, space: Space, seed: int) -> AskTell:
    return OptunaSearch(space, "tpe", options.optuna, seed)


def _nsga2(options: StrategyOptions, space: Space, seed: int) -> AskTell:
    return OptunaSearch(space, "nsga2", options.optuna, seed)


def _shared(name: str, make: Make) -> Make:
    return lambda options, space, seed: WeightSharing(name, make(options, space, seed), options.sharing)


GRADIENT = Registered(name="differentiable", title="Differentiable search", by_gradient=True)
REFERENCE = "evolution"
"""What others are held against, where nothing else is asked for."""
RANDOM = "random"
"""Whose networks stand for those of the space."""
BUILT_IN: Mapping[str, Registered] = {
    one.name: one
    for one in (
        GRADIENT,
        Registered(name="hybrid", title="Evolution seeded by the gradient search", by_gradient=True, seeded=True),
        Registered(name="evolution", title="Evolution", make=_evolution),
        Registered(name="regularized_evolution", make=_regularized),
        Registered(name=RANDOM, title="Random search", make=_random, chooses=False),
        Registered(name="successive_halving", make=_halving),
        Registered(name="optuna_tpe", title="Optuna's TPE", make=_tpe),
        Registered(name="optuna_nsga2", title="Optuna's NSGA-II", make=_nsga2),
        Registered(
            name="random_weight_sharing",
            make=_shared("random_weight_sharing", _random),
            shares_weights=True,
            chooses=False,
        ),
        Registered(
            name="evolution_weight_sharing",
            make=_shared("evolution_weight_sharing", _evolution),
            shares_weights=True,
        ),
    )
}


_OF_OPTUNA = ("optuna_tpe", "optuna_nsga2")


class UnknownStrategyError(InvalidInputError):
    """Nobody has registered a strategy of that name."""


def known_strategies() -> tuple[str, ...]:
    """Names of the built-in strategies, and of those that installed packages have registered."""
    named = (point.name for point in _entry_points())
    return tuple(dict.fromkeys([*BUILT_IN, *sorted(filter(is_name, named))]))


def facts_of(name: str) -> Registered:
    """What is known of a strategy that a run names, without loading it."""
    return BUILT_IN.get(name) or Registered(name=name)


def strategy_choice(value: Any, path: str = "strategies") -> StrategyChoice:
    """A strategy as a configuration has it.

    Args:
        value: a name; an object or class with ``ask`` and ``tell``; or what ``config.json`` holds of one.
        path: the option, for messages.

    Raises:
        UnknownStrategyError: there is none of that name.
        InvalidInputError: it is no strategy.
    """
    if isinstance(value, str):
        if value not in BUILT_IN and value not in (known := known_strategies()):
            if any(point.name == value for point in _entry_points()):
                check_name(value)
            raise UnknownStrategyError(
                f"{path} is one of {', '.join(known)}; got {value!r:.100}{did_you_mean(value, known)}: give another, "
                f"or install the package that has it (entry points of {GROUP})"
            )
        return value
    if isinstance(value, Mapping):
        return _from_plain(value, path)
    if value is None or isinstance(value, bool | int | float | bytes | list | tuple | set):
        raise InvalidInputError(f"{path} is the name of a strategy, or an object with ask and tell; got {value!r:.100}")
    return own_strategy(value)


def strategy_choices(values: Iterable[Any]) -> tuple[StrategyChoice, ...]:
    """The strategies of a configuration.

    Raises:
        InvalidInputError: there is none, one is none, or two go by one name in files.
    """
    choices = tuple(strategy_choice(value, f"strategies.{index}") for index, value in enumerate(values))
    if not choices:
        raise InvalidInputError("strategies names at least one, each once; got none")
    met: dict[str, StrategyChoice] = {}
    for choice in choices:
        name = name_of(choice)
        if isinstance(choice, OwnStrategy) and name.lower() in BUILT_IN:
            raise InvalidInputError(
                f"{name.lower()!r} is a strategy of tvnjax; got {choice!r} of that name: give it another (an "
                "attribute name)"
            )
        if name.lower() in met:
            raise InvalidInputError(
                f"strategies names each once, whatever the case of its letters; got {met[name.lower()]!r} and "
                f"{choice!r}: leave one out, or give one another name (an attribute name)"
            )
        met[name.lower()] = choice
    return choices


def name_of(choice: StrategyChoice) -> str:
    """The name a strategy goes by in a run."""
    return choice.name if isinstance(choice, OwnStrategy) else choice


def registered(choice: StrategyChoice) -> Registered:
    """A strategy that is to run; one of another package is loaded.

    Raises:
        UnmadeStrategyError: it was given from Python, in another process.
        InvalidInputError: nobody has registered it, two have, or it cannot be loaded.
    """
    if isinstance(choice, OwnStrategy):
        given = choice.given
        return _own(choice.name, _by_entry_point(choice) if given is None else given)
    points = [point for point in _entry_points() if point.name == choice]
    if points and (choice in BUILT_IN or len(points) > 1):
        both = [*(["tvnjax"] if choice in BUILT_IN else []), *map(_package, points)]
        raise InvalidInputError(
            f"every strategy has a name of its own; {choice!r} is registered by {' and by '.join(both)}: uninstall "
            "one of the packages"
        )
    if choice in BUILT_IN:
        if choice in _OF_OPTUNA:
            # Before anything else of a run is done.
            check_installed()
        return BUILT_IN[choice]
    strategy_choice(choice)
    return _own(check_name(choice), _loaded(points[0]))


def is_there(choice: StrategyChoice) -> bool:
    """Whether this process has what a strategy needs to run."""
    try:
        registered(choice)
    except UnmadeStrategyError:
        return False
    return True


def _own(name: str, given: Any) -> Registered:
    strategy = fresh(given, name)
    return Registered(
        name=name, make=starter(name, given), shares_weights=bool(getattr(strategy, "shares_weights", False))
    )


def _by_entry_point(own: OwnStrategy) -> Any:
    """The same strategy, where an entry point makes it."""
    for point in _entry_points():
        if point.name == own.name or point.attr.rpartition(".")[2] == own.of.rpartition(".")[2]:
            given = _loaded(point)
            if own_strategy(given).digest == own.digest:
                return given
    raise UnmadeStrategyError(
        f"a strategy that was given from Python is code, of which a run keeps the name; {own.name} ({own.of}) has not "
        "been given in this process: give it again in strategies=(...), or register its class as an entry point of "
        f"{GROUP}"
    )


def _from_plain(told: Mapping[str, Any], path: str) -> OwnStrategy:
    names = [field.name for field in dataclasses.fields(OwnStrategy)]
    if told.get("type") != OwnStrategy.__name__ or set(told) != {"type", *names}:
        raise InvalidInputError(
            f"{path} is the name of a strategy, or what config.json holds of one ({', '.join(names)}); got "
            f"{told!r:.100}"
        )
    return OwnStrategy(**{name: told[name] for name in names})


def _entry_points() -> tuple[importlib.metadata.EntryPoint, ...]:
    return tuple(importlib.metadata.entry_points(group=GROUP))


def _loaded(point: importlib.metadata.EntryPoint) -> Any:
    try:
        return point.load()
    except Exception as error:
        raise InvalidInputError(
            f"a strategy of another package can be imported; {point.name!r} of {_package(point)} cannot be "
            f"({type(error).__name__}: {error!s:.200}): correct the package, or leave the strategy out"
        ) from error


def _package(point: importlib.metadata.EntryPoint) -> str:
    return f"{'an unknown package' if point.dist is None else point.dist.name} ({point.value})"
