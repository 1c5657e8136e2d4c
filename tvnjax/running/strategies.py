"""The strategies by name, with the options of a configuration."""

from typing import Protocol

from tvnjax.core.errors import InvalidInputError
from tvnjax.running.config import StrategyName
from tvnjax.search.base import Space, Strategy
from tvnjax.search.strategies.evolution import Evolution, EvolutionConfig
from tvnjax.search.strategies.random_search import RandomSearch
from tvnjax.search.strategies.successive_halving import HalvingConfig, SuccessiveHalving
from tvnjax.search.strategies.weight_sharing import SharingConfig, WeightSharing


class StrategyOptions(Protocol):
    """What the strategies are told: a part of a run's configuration, or a replay's."""

    @property
    def seed(self) -> int: ...
    @property
    def evolution(self) -> EvolutionConfig: ...
    @property
    def regularized(self) -> EvolutionConfig: ...
    @property
    def halving(self) -> HalvingConfig: ...
    @property
    def sharing(self) -> SharingConfig: ...


def make_strategy(name: StrategyName, config: StrategyOptions, space: Space, seed: int | None = None) -> Strategy:
    """A strategy that asks and is told.

    Args:
        space: what it proposes; with shared weights, what they cover.
        seed: default: the configuration's.

    Raises:
        InvalidInputError: the strategy trains a supernet itself and does not ask for evaluations.
    """
    seed = config.seed if seed is None else seed
    match name:
        case "random":
            return RandomSearch(space, seed)
        case "evolution":
            return Evolution(space, config.evolution, seed)
        case "regularized_evolution":
            return Evolution(space, config.regularized, seed, name=name)
        case "successive_halving":
            return SuccessiveHalving(space, config.halving, seed)
        case "random_weight_sharing":
            return WeightSharing(name, RandomSearch(space, seed), config.sharing)
        case "evolution_weight_sharing":
            return WeightSharing(name, Evolution(space, config.evolution, seed), config.sharing)
    raise InvalidInputError(f"strategies that ask for evaluations stand here; {name!r} trains a supernet instead")
