"""Strategies that people write: what one is, and how an object of Python stands in a run's configuration."""

import abc
import copy
import dataclasses
import hashlib
import json
import re
from collections.abc import Callable, Mapping
from pathlib import PurePath
from typing import Any

import numpy as np

from tvnjax.core.errors import InvalidInputError
from tvnjax.core.printable import json_text, printable
from tvnjax.search.base import AskTell, Candidate, Proposal, Wait
from tvnjax.spaces.base import Genotype, Space

_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_]{0,39}")
_TAKEN = ("supernet",)
"""What ``checkpoints/`` holds besides the weights of networks that strategies found."""
_TEXT = 200
_DEPTH = 6


class Strategy(abc.ABC):
    """A strategy of one's own: it proposes networks, and is told what became of each.

    A strategy that climbs is ten lines::

        class HillClimb(tvnjax.Strategy):
            best = None

            def ask(self):
                if self.best is None:
                    return self.space.sample(self.rng)
                return self.space.mutate(self.best.genotype, self.rng)

            def tell(self, candidate):
                if self.best is None or candidate.fitness >= self.best.fitness:
                    self.best = candidate

    It is given as an object or as a class that is made without arguments, and runs beside any other: in a run
    (``tvnjax.run("quick", strategies=("differentiable", HillClimb()))``), on workers, and on a recorded table
    (``tvnjax.replay("table.jsonl", strategies=(HillClimb,))``). Every seed begins with a copy of the object. A package
    that registers the class as an entry point of the group ``tvnjax.strategies`` gives it a name for the command line,
    too: ``tvnjax run quick --strategies differentiable hill_climb``.

    A run that goes on tells a new copy what it told before, so ``ask`` has to depend on nothing but what was told and
    on ``rng``, from which it draws nothing when it waits. What an object holds from its making (``HillClimb(step=2)``)
    is then compared: text, numbers, arrays, and lists and mappings of them; of anything else the class alone.

    Attributes:
        name: in reports and in names of files: up to 40 letters, digits and underscores. Default: the class's name.
        shares_weights: train a supernet for it, and charge it; ``ask`` may then return
            ``tvnjax.Proposal(genotype=..., scoring="inherited")``, and ``space`` is what the supernet covers.
        space: the space: ``sample(rng)``, ``mutate(genotype, rng)``; set by ``start``.
        rng: NumPy's generator, of the run's seed and the strategy's name; set by ``start``.
    """

    name: str
    shares_weights: bool = False
    space: Space
    rng: np.random.Generator

    def start(self, space: Space, rng: np.random.Generator) -> None:
        """Begins a search; called once, before the first ``ask``."""
        self.space, self.rng = space, rng

    @abc.abstractmethod
    def ask(self) -> Genotype | Proposal | Wait | None:
        """The next proposal: a genotype to be trained to the end, or a ``tvnjax.Proposal`` that says otherwise;
        ``tvnjax.WAIT`` while results it needs are under way; ``None`` when there are no more."""

    @abc.abstractmethod
    def tell(self, candidate: Candidate) -> None:
        """What became of a proposal: ``candidate.fitness`` is top-1 plus top-5 on the validation split, minus infinity
        for a network that is over the budget or failed; ``candidate.verdict`` has its latency."""


class UnmadeStrategyError(InvalidInputError):
    """A strategy is code that is not in this process."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class OwnStrategy:
    """A strategy that was given from Python: what it is goes into files, the object itself stays in this process."""

    name: str
    of: str
    """Module and name of its class."""
    fields: str = ""
    """What it holds, shortened."""
    digest: str
    """Of class and fields: the same strategy has the same, in another process as well."""

    def __post_init__(self) -> None:
        check_name(self.name)
        for value in (self.of, self.digest, self.fields):
            if not isinstance(value, str):
                raise InvalidInputError(f"a strategy that was given from Python is told in text; got {value!r:.60}")

    def __repr__(self) -> str:
        return printable(f"{self.of.rpartition('.')[2]}({self.fields})", _TEXT)

    def __getstate__(self) -> dict[str, str]:
        # Workers train; what is proposed is decided in the process of the run, and its class may be a notebook's.
        return {field.name: getattr(self, field.name) for field in dataclasses.fields(self)}

    @property
    def given(self) -> Any:
        """The object or class; ``None`` where it has not been given in this process."""
        return getattr(self, "_given", None) or _GIVEN.get(self.digest)


_GIVEN: dict[str, Any] = {}
"""What was given in this process, by digest: a run that is read from its directory finds its strategies here."""


def own_strategy(given: Any) -> OwnStrategy:
    """A strategy for a configuration.

    Args:
        given: an object with ``ask`` and ``tell``, or a class or function that makes one without arguments.

    Raises:
        InvalidInputError: it is none, or its name cannot be one of files.
    """
    if isinstance(given, OwnStrategy):
        return given
    strategy = fresh(given, getattr(given, "__name__", type(given).__name__))
    told = {key: _plain(value) for key, value in _held(strategy).items() if key not in ("name", "space", "rng")}
    fields = ", ".join(f"{key}={json_text(value)}" for key, value in told.items())
    of = _qualified(type(strategy))
    digest = hashlib.sha256(json.dumps([of, told], sort_keys=True).encode()).hexdigest()[:16]
    name = check_name(getattr(strategy, "name", None) or type(strategy).__name__)
    own = OwnStrategy(name=name, of=of, fields=printable(fields, _TEXT), digest=digest)
    object.__setattr__(own, "_given", given)
    _GIVEN[digest] = given
    return own


def fresh(given: Any, name: str) -> Any:
    """A strategy that has been told nothing: a copy of an object, or what a class or function makes.

    Raises:
        InvalidInputError: there is none.
    """
    try:
        strategy = given() if _makes(given) else copy.deepcopy(given)
    except Exception as error:
        if _makes(given):
            how = f"a strategy is made without arguments; {name:.60} cannot be"
            cure = "give an object, or take the space in start(space, rng)"
        else:
            how, cure = f"every seed has a copy of a strategy; {name:.60} cannot be copied", "give its class instead"
        raise InvalidInputError(f"{how} ({_reason(error)}): {cure}") from error
    for method in ("ask", "tell"):
        if not callable(getattr(strategy, method, None)):
            raise InvalidInputError(
                f"a strategy is named, or is an object with ask and tell, or its class; {strategy!r:.60} has no "
                f"{method}"
            )
    return strategy


class Started:
    """A strategy of one's own that has begun, by the name it goes by in a run.

    Args:
        name: in events and files.
        given: see ``own_strategy``.
        space: what it proposes networks of.
        seed: of its generator, with the name: two strategies draw other networks first.

    Raises:
        InvalidInputError: it cannot be made, or breaks in ``start``.
    """

    def __init__(self, name: str, given: Any, space: Space, seed: int):
        self.name = name
        self._strategy = fresh(given, name)
        own = int.from_bytes(hashlib.sha256(name.encode()).digest()[:4], "little")
        if (start := getattr(self._strategy, "start", None)) is not None:
            try:
                start(space, np.random.default_rng([seed, 8, own]))
            except Exception as error:
                raise broken(name, "start", error) from error

    def ask(self) -> Genotype | Proposal | Wait | None:
        return self._strategy.ask()

    def tell(self, candidate: Candidate) -> None:
        self._strategy.tell(candidate)


def starter(name: str, given: Any) -> Callable[[Any, Space, int], AskTell]:
    """Begins a strategy in a space with a seed; there are no options for it."""
    return lambda options, space, seed: Started(name, given, space, seed)


def broken(name: str, what: str, error: Exception) -> InvalidInputError:
    """What is said of a strategy that breaks in one of its methods."""
    if isinstance(error, InvalidInputError):
        return InvalidInputError(f"{name}: {error}")
    return InvalidInputError(
        f"a strategy proposes and is told; {name} broke in {what} ({_reason(error)}): correct it and go on with the "
        "run, which keeps what it had been told (TVNJAX_TRACEBACK=1 shows where)"
    )


def check_name(name: Any) -> str:
    """A name that files can have.

    Raises:
        InvalidInputError: it is none.
    """
    if not is_name(name):
        raise InvalidInputError(
            "a strategy's name is one of files: up to 40 letters of A to Z, digits and underscores, and not "
            f"{' or '.join(_TAKEN)}; got {name!r:.60}: give it a name of its own (an attribute name)"
        )
    return name


def is_name(name: Any) -> bool:
    return isinstance(name, str) and _NAME.fullmatch(name) is not None and name.lower() not in _TAKEN


def _makes(given: Any) -> bool:
    """Whether it is called to make a strategy."""
    return isinstance(given, type) or (callable(given) and not hasattr(given, "ask"))


def _reason(error: Exception) -> str:
    lines = str(error).splitlines() or [""]
    return f"{type(error).__name__}: {lines[0]:.200}"


def _qualified(thing: Any) -> str:
    return printable(
        f"{getattr(thing, '__module__', '')}.{getattr(thing, '__qualname__', type(thing).__name__)}", _TEXT
    )


def _held(strategy: Any) -> dict[str, Any]:
    slots = [name for kind in type(strategy).__mro__ for name in getattr(kind, "__slots__", ())]
    return {name: getattr(strategy, name) for name in slots if hasattr(strategy, name)} | getattr(
        strategy, "__dict__", {}
    )


def _plain(value: Any, depth: int = 0) -> Any:
    """What two processes see alike of a value."""
    if value is None or isinstance(value, bool | int | float | str):
        return value
    if isinstance(value, np.generic):
        return value.item()
    if isinstance(value, np.ndarray) and not value.dtype.hasobject:
        return {"array": [*value.shape], "of": hashlib.sha256(value.tobytes()).hexdigest()[:16]}
    if isinstance(value, PurePath):
        return str(value)
    if isinstance(value, type) or (callable(value) and hasattr(value, "__qualname__")):
        return _qualified(value)
    if depth < _DEPTH:
        if dataclasses.is_dataclass(value):
            return _plain({field.name: getattr(value, field.name) for field in dataclasses.fields(value)}, depth)
        if isinstance(value, Mapping):
            return {str(key): _plain(item, depth + 1) for key, item in value.items()}
        if isinstance(value, list | tuple):
            return [_plain(item, depth + 1) for item in value]
        if isinstance(value, set | frozenset):
            return sorted((_plain(item, depth + 1) for item in value), key=repr)
    return _qualified(type(value))
