"""What every strategy is given and gives back, so that none knows of training, of timing or of another strategy."""

import dataclasses
from collections.abc import Callable, Mapping
from typing import Literal, Protocol, get_args

from tvnjax.core.errors import InvalidInputError
from tvnjax.spaces.base import Genotype, Space

Scoring = Literal["trained", "inherited"]
"""Trained from scratch, or scored with the weights of a supernet."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class Proposal:
    """A network to be evaluated, and how.

    Raises:
        InvalidInputError: it is no network, or is to be scored in a way there is not.
    """

    genotype: Genotype
    scoring: Scoring = "trained"
    part: float = 1.0
    """Of the short training's steps after which it is scored, above 0 and at most 1; a later proposal of the same
    network goes on from there."""

    def __post_init__(self) -> None:
        if not isinstance(getattr(self.genotype, "id", None), str) or not callable(
            getattr(self.genotype, "lower", None)
        ):
            raise InvalidInputError(
                "a proposal is a genotype, as space.sample and space.mutate give them; got "
                f"{type(self.genotype).__name__} {self.genotype!r:.60}"
            )
        if self.scoring not in get_args(Scoring):
            raise InvalidInputError(
                f"a proposal's scoring is one of {', '.join(get_args(Scoring))}; got {self.scoring!r:.60}"
            )
        if not isinstance(self.part, int | float) or not 0 < self.part <= 1:
            raise InvalidInputError(f"a proposal's part is above 0 and at most 1; got {self.part!r:.60}")


@dataclasses.dataclass(frozen=True, kw_only=True)
class Verdict:
    """What the runtime filter says of a network."""

    predicted_ms: float
    latency_ms: float | None
    """Measured; ``None`` where the prediction alone was far over the budget, or measuring failed."""
    feasible: bool
    reason: str | None = None
    seconds: float | None = None
    """Device seconds it took, where the clock cannot tell: elsewhere, or recorded. Compilation included."""
    compile_seconds: float = 0.0
    """Of ``seconds``."""
    known: bool = False
    """The verdict was there already; ``seconds`` are what it once took."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class Evaluation:
    """What a short training from scratch says of a network, on the validation split; parts of 1."""

    top1: float
    top5: float
    compile_seconds: float
    failed: str | None = None
    """Why there is no accuracy, e.g. a loss that is not finite."""
    seconds: float | None = None
    """Device seconds it took, where the clock cannot tell: elsewhere, or recorded. Compilation included."""

    @property
    def fitness(self) -> float:
        """Top-1 plus top-5 (the paper, section 3.3)."""
        return self.top1 + self.top5


@dataclasses.dataclass(frozen=True, kw_only=True)
class Candidate:
    """A network a strategy proposed, with what was found of it.

    An infeasible one is never trained, unless it was within the budget before the training and is not behind it.
    """

    genotype: Genotype
    verdict: Verdict
    evaluation: Evaluation | None
    charged_s: float
    """Seconds its strategy had been charged when it was done."""
    scoring: Scoring = "trained"
    part: float = 1.0
    costs: Mapping[str, float] = dataclasses.field(default_factory=dict)
    """Device seconds: ``check`` and ``train``, and of each those of compiling, ``check_compile`` and
    ``train_compile``."""

    @property
    def whole(self) -> bool:
        """Whether it was trained from scratch to the end of the short training: what strategies are judged by."""
        return self.scoring == "trained" and self.part >= 1

    @property
    def usable(self) -> bool:
        """Whether it may be what a strategy ends with."""
        return self.whole and self.fitness > float("-inf")

    @property
    def id(self) -> str:
        return self.genotype.id

    @property
    def fitness(self) -> float:
        """Minus infinity for what is infeasible or failed."""
        if self.evaluation is None or self.evaluation.failed or not self.verdict.feasible:
            return float("-inf")
        return self.evaluation.fitness


@dataclasses.dataclass(frozen=True, kw_only=True)
class SearchTask:
    """The problem all strategies solve: one space, one filter, one way to evaluate."""

    space: Space
    budget_ms: float
    check: Callable[[Genotype], tuple[Verdict, float]]
    """The runtime filter; also returns the compile seconds it took."""
    evaluate: Callable[[Genotype, int, float], Evaluation]
    """Short training from scratch with a seed, up to a part of its steps, scored on the validation split."""
    screen: Callable[[Genotype], Verdict] | None = None
    """The filter without measuring, for proposals scored with inherited weights."""
    inherit: Callable[[Genotype], Evaluation] | None = None
    """Scores a network with a trained supernet's weights."""
    confirm: Callable[[Genotype], tuple[Verdict, float]] | None = None
    """The runtime filter once more, measured anew; ``None`` where latencies are looked up."""
    prediction_error: float = 0.05
    """What nine in ten predicted latencies are off by at most, as a part of them."""
    clocked: bool = True
    """Whether this process's clock tells device seconds; otherwise results bring their own."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class SearchResult:
    """What a strategy found and what it was charged."""

    name: str
    seed: int
    candidates: tuple[Candidate, ...]
    seconds: float
    """Everything, compilation included."""
    compile_seconds: float
    evaluations: int
    """Networks trained, in part or to the end."""
    infeasible: int
    """Proposals the filter refused."""
    best: Candidate | None
    """Fittest feasible candidate trained to the end; ``None`` where there is none."""
    seconds_by_kind: Mapping[str, float] = dataclasses.field(default_factory=dict)
    """What the seconds went into (see ``DeviceSeconds``)."""


class Wait:
    """What a strategy answers that cannot propose before it is told more."""


WAIT = Wait()


class AskTell(Protocol):
    """What the engine knows of a strategy: it proposes genotypes and learns what became of them."""

    @property
    def name(self) -> str: ...

    def ask(self) -> Genotype | Proposal | Wait | None:
        """The next proposal, a plain genotype to be trained to the end; ``WAIT`` while results it needs are under way,
        ``None`` when the strategy has no more."""

    def tell(self, candidate: Candidate) -> None:
        """What became of a proposal."""


def as_proposal(asked: Genotype | Proposal) -> Proposal:
    return asked if isinstance(asked, Proposal) else Proposal(genotype=asked)
