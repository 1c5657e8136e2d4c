"""How a supernet is trained."""

import dataclasses
from typing import Literal

from tvnjax.nn.parts import Precision

Bilevel = Literal["first", "second", "one-level"]
Mode = Literal["concrete", "mixture", "sampled"]
ArchSchedule = Literal["temperature", "constant", "cosine"]


@dataclasses.dataclass(frozen=True, kw_only=True)
class SupernetTraining:
    """How weights and logits are trained.

    Sources: bilevel steps and the second-order term as in DARTS (Liu et al. 2019, equations 7 and 8); one-level steps,
    a step schedule for the weights and the log-sum-exp penalty on logits as in PV-NAS (Wang et al. 2020).
    """

    steps: int
    learning_rate: float
    schedule: Literal["step", "cosine"]
    drop: float
    arch_learning_rate: float
    arch_schedule: ArchSchedule
    bilevel: Bilevel
    mode: Mode
    draw_sharpness: float
    logit_penalty: float
    latency_weight: float
    penalty: float
    multiplier_rate: float
    target: float
    precision: Precision = "float32"
    remat: bool = False
    accumulate: int = 1
    """Parts of a batch that are worked on one after the other."""
    most_parts: int = 1
    """Of those: batches divide into as many, and where memory is short they are worked on in up to as many."""
