"""How one network is taken out of a relaxed one."""

import dataclasses

from tvnjax.core.errors import InvalidInputError


@dataclasses.dataclass(frozen=True, kw_only=True)
class ProjectionConfig:
    """The relaxed space proposes networks; how many, and how it is decided between them."""

    plans: int = 3
    """Likeliest plans that networks are taken from."""
    top_k: int = 4
    """Likeliest networks of each of those plans that are predicted within the budget."""
    draws: int = 16
    """Networks drawn from the relaxed space, at temperatures from the last one up to 1."""
    neighbours: int = 12
    """Mutations of the networks that rank best."""
    rank_steps: int = 20
    """Steps that every network's inherited weights are trained for it alone before it is scored, as for weight
    sharing (``sharing.fine_tune_steps``)."""
    racers: int = 6
    """Networks of best rank that are measured within the budget and trained from scratch for a part of the short
    training."""
    keep: int = 3
    """The racers' part: one in so many of the short training's steps."""
    finalists: int = 3
    """Best of the racers, which are trained to the end of the short training."""
    confidence: float = 0.95
    """Probability with which a racer is within the budget when it is measured once more, by the spread of this search's
    own repeated measurements."""
    repeats: int = 3
    """Measurements of every racer before the race."""
    recalibration_batches: int = 8
    """Batches the running statistics are computed on before a network is scored with inherited weights."""
    fine_tune_steps: int = 30
    """Steps that the likeliest network's inherited weights are trained further, for the ledger: what is lost between
    the relaxed network and it, and comes back, was a matter of weights. 0 leaves that row out."""
    attempts: int = 6
    """Most times that new networks are proposed, the predictions corrected by what was measured, while none is within
    the budget."""

    def __post_init__(self) -> None:
        if not 1 <= self.finalists <= self.racers:
            raise InvalidInputError(
                "search.projection.finalists is 1 to racers; got "
                f"finalists {self.finalists} and racers {self.racers}: lower the one or raise the other"
            )
        if not 0.5 <= self.confidence < 1:
            raise InvalidInputError(f"search.projection.confidence is in [0.5, 1); got {self.confidence}")
        for name in ("rank_steps", "fine_tune_steps", "draws", "neighbours"):
            if getattr(self, name) < 0:
                raise InvalidInputError(f"search.projection.{name} is 0 or above; got {getattr(self, name)}")
        for name in ("plans", "top_k", "keep", "repeats", "recalibration_batches", "attempts"):
            if getattr(self, name) < 1:
                raise InvalidInputError(f"search.projection.{name} is at least 1; got {getattr(self, name)}")
