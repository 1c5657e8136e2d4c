"""Training one child from scratch, and scoring it.

State is split once into weights and running statistics; the step is a plain function of them, compiled ahead of
time, so that compile seconds are known apart and a later step cannot compile anything.
"""

import dataclasses
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import optax
from flax import nnx
from jax import Array

from tvnjax.core.errors import InvalidInputError
from tvnjax.core.literals import check_literals
from tvnjax.graph import Network, require_one_stream
from tvnjax.nn.child import Child
from tvnjax.nn.parts import Precision, normalize
from tvnjax.trainers.devices import check_spread
from tvnjax.trainers.objective import count_correct, cross_entropy
from tvnjax.trainers.optim import Optimizer
from tvnjax.trainers.programs import Programs

Batch = dict[str, np.ndarray]
"""``clip`` uint8 ``[B, T, S, S, 3]``, ``label`` int32 ``[B]``; for evaluation ``weight`` float32 ``[B]``."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class Training:
    """How a network is trained from scratch."""

    steps: int = 600
    batch_size: int = 32
    label_smoothing: float = 0.1
    dropout: bool = True
    """The head's dropout (of a TVN 0.5, as in the released code)."""
    precision: Precision = "float32"
    """Of the arithmetic; weights, statistics and the loss are float32 either way."""
    remat: bool = False
    """Compute the insides of units again for the gradient instead of keeping them: less memory, a third more work."""
    ema: float = 0.0
    """Decay of an exponential moving average of weights and statistics, which is then what is scored and kept; 0 is
    off. It rises to this over the first steps: ``min(ema, (1 + step) / (10 + step))``."""
    accumulate: int = 1
    """Batches whose mean gradient makes one step."""
    optimizer: Optimizer = dataclasses.field(default_factory=Optimizer)

    def __post_init__(self) -> None:
        check_literals(self)
        for name in ("steps", "batch_size", "accumulate"):
            if getattr(self, name) < 1:
                raise InvalidInputError(f"{name} is at least 1; got {getattr(self, name)}")
        for name in ("ema", "label_smoothing"):
            if not 0 <= getattr(self, name) < 1:
                raise InvalidInputError(f"{name} is in [0, 1); got {getattr(self, name)}")


class ChildState(NamedTuple):
    """Everything a training step changes."""

    params: nnx.State
    stats: nnx.State
    opt: optax.OptState
    step: Array
    """Batches seen."""
    average: Any = None
    """Averaged weights and statistics, where there is an average."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class Score:
    """Accuracy over a split, parts of 1."""

    top1: float
    top5: float
    loss: float
    clips: int

    @property
    def fitness(self) -> float:
        """Top-1 plus top-5: the paper's fitness (section 3.3)."""
        return self.top1 + self.top5


@dataclasses.dataclass(frozen=True, kw_only=True)
class Trained:
    """A trained child and what it cost."""

    state: ChildState
    history: tuple[dict[str, float], ...]
    seconds: float
    """Compilation included."""
    compile_seconds: float


class ChildTrainer:
    """Trains and scores networks of one lowered shape.

    Args:
        network: the lowered network.
        training: how it is trained.
        seed: of the initial weights and of dropout.
        devices: that batches are spread over; default: JAX's first alone.

    Raises:
        InvalidInputError: the network reads several streams.
    """

    def __init__(self, network: Network, training: Training, seed: int, devices: Sequence[Any] | None = None):
        require_one_stream(network, "a training")
        self._programs = Programs(devices, fused=True, donate=False)
        check_spread("batch_size", training.batch_size, len(self._programs.devices))
        self.network, self.training, self.seed = network, training, seed
        self._tx = training.optimizer.build(training.steps)
        if training.accumulate > 1:
            self._tx = optax.MultiSteps(self._tx, training.accumulate).gradient_transformation()
        self._key = self._programs.put(jax.random.key_data(jax.random.key(seed)))
        self._graph, *self._fresh = nnx.split(Child(network, seed), nnx.Param, ...)

    @property
    def compile_seconds(self) -> float:
        """Of all programs so far."""
        return self._programs.seconds

    def init(self, params: nnx.State | None = None, stats: nnx.State | None = None) -> ChildState:
        """Fresh weights, the same ones every time, or the given ones."""
        whole: Any = self._programs.put((params or self._fresh[0], stats or self._fresh[1]))
        step, opt = self._programs.put(np.int32(0)), self._programs.run("init", self._tx.init, whole[0])
        average = whole if self.training.ema else None
        return ChildState(params=whole[0], stats=whole[1], opt=opt, step=step, average=average)

    def step(self, state: ChildState, batch: Batch) -> tuple[ChildState, Array]:
        """One batch; returns the loss. Weights move with every ``training.accumulate``-th."""
        clip, label = self._placed(batch["clip"], batch["label"])
        return self._programs.run("step", self._step, state, clip, label, self._key)

    def placed(self, state: Any) -> ChildState:
        """A state of the host where programs run."""
        return self._programs.put(state)

    def kept(self, state: ChildState) -> tuple[nnx.State, nnx.State]:
        """The weights and statistics that are scored and kept: the averaged ones where there is an average."""
        return state.average if state.average is not None else (state.params, state.stats)

    def score(self, state: ChildState, batches: Iterable[Batch]) -> Score:
        """Accuracy in evaluation mode."""
        kept = self.kept(state)
        each = (self._placed(batch["clip"], batch["label"], batch["weight"]) for batch in batches)
        return sum_score([self._programs.run("score", self._score, *kept, *given) for given in each])

    def train(
        self,
        batches: Iterator[Batch],
        *,
        state: ChildState | None = None,
        until: int | None = None,
        on_step: Callable[[int, float], None] | None = None,
        on_window: Callable[[ChildState, list[dict[str, float]]], None] | None = None,
        history: Sequence[dict[str, float]] = (),
    ) -> Trained:
        """Trains from fresh weights, or on from a state, up to step ``until`` (default: ``training.steps``); at the end
        the state has the weights that are kept.

        Args:
            on_window: hears the state and the history wherever the latter grows, a twentieth of the steps apart: a
                training that goes on from there ends with the same.
            history: of what ``state`` has behind it.

        Raises:
            FloatingPointError: the loss is not finite; the message names the step.
        """
        start, told = time.monotonic(), [*history]
        state = self.init() if state is None else state
        until = self.training.steps if until is None else until
        losses: list[Array] = []
        for step in range(int(state.step) // self.training.accumulate + 1, until + 1):
            for _ in range(self.training.accumulate):
                state, loss = self.step(state, next(batches))
                losses.append(loss)
            if on_step is not None:
                on_step(step, float(losses[-1]))
            if step % max(self.training.steps // 20, 1) == 0 or step == until:
                mean = float(np.mean(jax.device_get(losses)))
                if not np.isfinite(mean):
                    first = step - len(losses) // self.training.accumulate + 1
                    raise FloatingPointError(f"the loss is finite; between steps {first} and {step} it is not")
                told.append({"step": step, "loss": mean})
                losses = []
                if on_window is not None and step < until:
                    on_window(state, list(told))
        jax.block_until_ready(state.step)
        if until >= self.training.steps:
            params, stats = self.kept(state)
            state = state._replace(params=params, stats=stats)
        return Trained(
            state=state,
            history=tuple(told),
            seconds=time.monotonic() - start,
            compile_seconds=self.compile_seconds,
        )

    def _step(self, state: ChildState, clip: Array, label: Array, key_data: Array) -> tuple[ChildState, Array]:
        # The seed is an argument: trainings of one network that differ in it alone are one program in JAX's cache.
        key = jax.random.fold_in(jax.random.wrap_key_data(key_data), state.step) if self.training.dropout else None

        def loss_fn(params: nnx.State) -> tuple[Array, nnx.State]:
            model = nnx.merge(self._graph, params, state.stats, copy=True)
            logits = model(self._read(clip), train=True, dropout_key=key, remat=self.training.remat)
            loss = cross_entropy(logits, label, smoothing=self.training.label_smoothing)
            return loss, nnx.state(model, nnx.BatchStat)

        (loss, stats), grads = jax.value_and_grad(loss_fn, has_aux=True)(state.params)
        updates, opt = self._tx.update(grads, state.opt, state.params)
        params: Any = optax.apply_updates(state.params, updates)
        return ChildState(params, stats, opt, state.step + 1, self._average(state, params, stats)), loss

    def _average(self, state: ChildState, params: Any, stats: nnx.State) -> Any:
        if state.average is None:
            return None
        updates, left = jnp.divmod(state.step + 1, self.training.accumulate)
        decay = jnp.minimum(self.training.ema, (1 + updates) / (10 + updates))
        decay = jnp.where(left == 0, decay, 1.0)
        return jax.tree.map(lambda old, new: decay * old + (1 - decay) * new, state.average, (params, stats))

    def _read(self, clip: Array) -> Array:
        return normalize(clip).astype(self.training.precision)

    def _score(self, params: nnx.State, stats: nnx.State, clip: Array, label: Array, weight: Array) -> dict[str, Array]:
        model = nnx.merge(self._graph, params, stats, copy=True)
        return count_correct(model(self._read(clip)), label, weight)

    def _placed(self, *arrays: np.ndarray) -> tuple[Any, ...]:
        """A batch's arrays where programs run; over several devices filled up with zeros to a multiple of them, which
        have no weight where a batch is scored (one that is trained on divides)."""
        count = len(self._programs.devices)
        if count == 1:
            return arrays
        missing = -len(arrays[0]) % count
        return self._programs.placement.split(
            tuple(np.pad(array, [(0, missing)] + [(0, 0)] * (array.ndim - 1)) for array in arrays)
        )


def sum_score(sums: Iterable[dict[str, Array]]) -> Score:
    """Accuracy from the sums of ``count_correct`` over a split's batches."""
    rows = jax.device_get(list(sums))
    total = {key: float(sum(row[key] for row in rows)) for key in ("clips", "top1", "top5", "loss")}
    clips = max(total["clips"], 1.0)
    return Score(top1=total["top1"] / clips, top5=total["top5"] / clips, loss=total["loss"] / clips, clips=int(clips))
