"""How the relaxed network is searched by gradient."""

import dataclasses
import math
from typing import Literal

from tvnjax.core.errors import InvalidInputError
from tvnjax.core.literals import check_literals
from tvnjax.nn.parts import Precision
from tvnjax.search.gradient.projection_config import ProjectionConfig
from tvnjax.trainers.supernet_settings import ArchSchedule, Bilevel, Mode, SupernetTraining

_NOT_NEGATIVE = (
    *("logit_penalty", "latency_weight", "redraws", "shape_decay", "penalty", "multiplier_rate"),
    *("arch_distance", "shape_learning_rate", "trace"),
)


@dataclasses.dataclass(frozen=True, kw_only=True)
class DifferentiableConfig:
    """How the relaxed network is searched. Parts and rates are in units of progress, so that they mean the same
    however many steps there are."""

    steps: int = 400
    """Weight steps."""
    trace: int = 0
    """Steps that are recorded behind the warm-up (and the first step of the logits, which compiles), in trace/ of the
    run, for Perfetto and TensorBoard; the report lists their costliest operations. They take longer so. 0: none."""
    batch_size: int = 32
    accumulate: int = 1
    """Parts that a batch is worked on in, one after the other; each has batch statistics of its own. A plan that does
    not fit the memory is given more, and rematerialised, unasked; the run says so."""
    memory_gb: float | None = None
    """Of a device, for a step's program and what it reads, in GiB. Default: what the device says; a CPU has no limit.
    """
    steps_per_dispatch: int = 1
    """Steps that an accelerator is sent as one program; they are of one plan. Longer programs are sent less often and
    take longer to compile. On a CPU steps are sent one by one, and plans drawn as often."""
    mode: Mode = "concrete"
    """``mixture``: every candidate runs, weighted by its softmax (DARTS); a candidate can then live on a small weight
    that no single network will give it. ``concrete``: the weights are draws around that softmax (Gumbel noise is added
    to its argument, as in SNAS), so that an undecided choice cannot rest on a mixture, and a decided one is left alone.
    ``sampled``: one path a gene for the weights, drawn by Gumbel-max, and two for the logits' gradient (as
    ProxylessNAS); what is not drawn does not run."""
    draw_sharpness: float = 4.0
    """Of mode ``concrete``, from half of the way behind the warm-up on: what the noisy argument of the softmax is
    multiplied by (the inverse of SNAS's temperature); noise and it grow until then. With 1 a draw is soft, and an
    undecided choice can still lean on several candidates; the larger, the closer each draw is to a single network, and
    the noisier the logits' gradient. (Recorded table, quarter budget: of the relaxed network's accuracy the one taken
    out lost 0 to 4 points in four seeds with 4 and a temperature of 0.5, 6 to 72 in five with 1 and 0.1.)"""
    bilevel: Bilevel = "first"
    """Clips of a logit step: validation clips (``first``; gradients for weights and logits are then those at the same
    weights, before either moves), the same behind a look-ahead step of the weights (``second`` order, four times the
    work), or the training clips themselves (``one-level``, as PV-NAS)."""
    arch_warmup: float = 0.4
    """Part of the steps that train weights alone: logits that move while weights are raw favour what learns fastest."""
    learning_rate: float = 3e-3
    schedule: Literal["step", "cosine"] = "step"
    """Of the weights. Under a cosine one differentiable video search is known to collapse onto skips and pools."""
    drop: float = 0.4
    """What the step schedule multiplies the rate with at 60 % and at 85 % of the steps. The weights must keep up with
    choices that are decided late: on ten spoken digits (one seed) the relaxed network and the one taken out of it had
    44 and 14 % on validation clips with 0.1, and 68 and 62 % with 0.4."""
    arch_distance: float = 20.0
    """How far the rates of all steps of the operator logits (Adam) would take one of them: a step's rate is this over
    their number, at most 0.5, so that a search of fewer steps decides as much. (With a fixed rate of 0.05 the choices
    of 96 steps stayed open, an entropy of 0.69 of the most, where 384 had decided them.)"""
    arch_schedule: ArchSchedule = "constant"
    """Of that rate behind the warm-up: it falls as the temperature does, stays, or falls along a cosine."""
    temperature: float = 0.5
    """Softmax temperature at the end; it is 1 during the warm-up and falls by a constant factor a step from then on.
    Draws near one-hot make the logits grow apart by themselves; what falling too low does is to decide what they have
    not, past the budget before its multiplier has climbed."""
    logit_penalty: float = 0.0
    """Weight of the mean log-sum-exp of the logits, ramped with progress: keeps single logits from running away."""
    latency_weight: float = 0.0
    """Weight of ``log(expected ms)`` in the loss, ramped with progress: above 0 a network is wanted that is fast, not
    merely within the budget. (0.1: a doubling of the latency must be worth 0.07 nats.) Before anything is learned the
    latency would be all there is to go by, hence the ramp."""
    multiplier_rate: float = 0.5
    """Step of the budgets' multipliers, in units of ``log(expected / budget)``."""
    target: float = 0.98
    """Part of every budget that expected costs are held to. Multipliers swing around it by one or two percent, and a
    measurement moves by as much when it is repeated."""
    penalty: float = 4.0
    """Weight of the quadratic term of the augmented Lagrangian."""
    working_set: int = 6
    """Plans kept compiled; a handful on a CPU, 16 to 64 on an accelerator."""
    redraws: int = 3
    """How often the weakest third of the working set is drawn anew from the policy."""
    precision: Precision = "float32"
    """Of the supernet's activations and convolutions; weights, logits, statistics, losses and the optimizers' moments
    are float32 either way. ``bfloat16`` is for accelerators: a CPU is slower with it."""
    remat: bool = False
    """Compute the insides of the supernet's units again for the gradient instead of keeping them: less memory, about a
    third more work."""
    score_every: int = 4
    """Steps between scorings of the whole working set."""
    score_clips: int = 64
    """Validation clips of a scoring, the same for every plan."""
    resident_gb: float | None = None
    """Stored clips that may live on the device, in 10^9 bytes: whole splits, validation first; the others are streamed,
    a few batches in advance. Batches are the same either way. Default: a quarter of the device's memory, on a CPU of
    what is free when the search begins. 0: all are streamed."""
    shape_learning_rate: float = 3.0
    """Of the shape logits (plain gradient steps)."""
    shape_decay: float = 0.02
    """Pull of the shape logits towards uniform at each step, so that no value dies by a few unlucky scorings."""
    projection: ProjectionConfig = dataclasses.field(default_factory=ProjectionConfig)

    def __post_init__(self) -> None:
        check_literals(self, "search.")
        if self.steps < 1 or not 0 <= self.arch_warmup < 1 or not 0 < self.temperature <= 1:
            raise InvalidInputError(
                "a search has steps of at least 1, arch_warmup in [0, 1) and temperature in (0, 1]; got "
                f"{self.steps}, {self.arch_warmup} and {self.temperature}"
            )
        if not 0 < self.drop <= 1:
            raise InvalidInputError(f"search.drop is a factor in (0, 1]; got {self.drop}")
        for name in ("working_set", "score_every", "score_clips", "batch_size", "accumulate", "steps_per_dispatch"):
            if getattr(self, name) < 1:
                raise InvalidInputError(f"search.{name} is at least 1; got {getattr(self, name)}")
        for name in ("batch_size", "score_clips"):
            if getattr(self, name) % self.accumulate:
                raise InvalidInputError(
                    f"search.{name} divides into search.accumulate equal parts; got {getattr(self, name)} and "
                    f"{self.accumulate}: give a multiple"
                )
        if self.memory_gb is not None and not self.memory_gb > 0:
            raise InvalidInputError(f"search.memory_gb is above 0; got {self.memory_gb}")
        if not self.learning_rate > 0:
            raise InvalidInputError(f"search.learning_rate is above 0; got {self.learning_rate}")
        if not 0 < self.target <= 1:
            raise InvalidInputError(f"search.target is a part of the budgets in (0, 1]; got {self.target}")
        if not 1 <= self.draw_sharpness <= 100:
            raise InvalidInputError(f"search.draw_sharpness is in 1 to 100; got {self.draw_sharpness}")
        if self.resident_gb is not None and not self.resident_gb >= 0:
            raise InvalidInputError(f"search.resident_gb is 0 or above; got {self.resident_gb}")
        for name in _NOT_NEGATIVE:
            if not getattr(self, name) >= 0:
                raise InvalidInputError(f"search.{name} is 0 or above; got {getattr(self, name)}")

    def training(self, devices: int = 1) -> SupernetTraining:
        """Of a supernet on so many devices."""
        names = {field.name for field in dataclasses.fields(SupernetTraining)} - {"most_parts", "arch_learning_rate"}
        parts = math.gcd(self.batch_size // devices, self.score_clips // devices)
        rate = min(self.arch_distance / (self.steps - int(self.arch_warmup * self.steps)), 0.5)
        given = {name: getattr(self, name) for name in names}
        return SupernetTraining(**given, arch_learning_rate=rate, most_parts=parts)
