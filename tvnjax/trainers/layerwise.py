"""Training one child from scratch by programs of single layers, which other children share.

The same training as ``ChildTrainer``'s (weights, batches, dropout, optimizer), to rounding errors; what differs is what
is compiled (see ``layer_programs``).
"""

import functools
import itertools
from collections.abc import Iterable, Iterator
from typing import Any, NamedTuple

import jax
import numpy as np

from tvnjax.core.errors import InvalidInputError
from tvnjax.graph import Network, require_one_stream
from tvnjax.nn.child import HeadModule
from tvnjax.nn.convolution import default_form
from tvnjax.nn.layers import build_layer
from tvnjax.nn.parts import Initializer
from tvnjax.trainers.layer_programs import Arrays, LayerPrograms, Piece, Trees, UnitPieces, unit_pieces
from tvnjax.trainers.trainer import Batch, Score, Training, sum_score


class LayerState(NamedTuple):
    """Everything a training step changes; a place for every layer, in the order of ``LayerwiseTrainer.pieces``, the
    head last."""

    params: list[Arrays]
    stats: list[Arrays]
    opt: list[Any]
    step: int


def make_programs(training: Training) -> LayerPrograms:
    """A store for networks that are trained alike.

    Raises:
        InvalidInputError: the training asks for what programs of single layers do not do.
    """
    if training.precision != "float32" or training.ema > 0 or training.accumulate > 1 or training.remat:
        raise InvalidInputError(
            "training by layers is in float32, without an average of the weights, accumulation or rematerialisation; "
            f"got precision {training.precision}, ema {training.ema}, accumulate {training.accumulate} and remat "
            f"{training.remat}: give --evaluation whole"
        )
    return LayerPrograms(
        training.optimizer.build_unclipped(training.steps),
        training.optimizer.clip_norm,
        training.label_smoothing,
        training.dropout,
        default_form(),
    )


class _Tape(NamedTuple):
    """What the backward pass of a unit needs: of every piece its place in the state, where it has one, and its
    residuals."""

    entry: Any
    main: list[tuple[int, Any]]
    side: list[tuple[int, Any]]
    join: Any


class LayerwiseTrainer:
    """Trains and scores one network.

    Args:
        network: the lowered network.
        training: how it is trained.
        seed: of the initial weights and of dropout.
        programs: made by ``make_programs`` for the same training.

    Raises:
        InvalidInputError: the network reads several streams.
    """

    def __init__(self, network: Network, training: Training, seed: int, programs: LayerPrograms):
        require_one_stream(network, "a training")
        self.network, self.training, self.seed, self.programs = network, training, seed, programs
        self._units: list[UnitPieces] = [unit_pieces(unit) for unit in network.units]
        self.compile_seconds = 0.0
        """Wall seconds of what was new in the store."""

    @property
    def pieces(self) -> list[Piece]:
        """The pieces with arrays of their own, in the order of initialisation."""
        return [piece for unit in self._units for piece in unit.with_arrays]

    def compile(self, batch: int, eval_batch: int, threads: int = 1) -> None:
        """Compiles what is missing."""
        self.compile_seconds += self.programs.compile([self.network], batch, eval_batch, threads)

    def init(self) -> LayerState:
        """Fresh weights: those of ``Child`` with this seed."""
        init = Initializer(self.seed)
        split = [Trees.split(build_layer(p.layer, init, self.programs.form)) for p in self.pieces if p.layer]
        split.append(Trees.split(HeadModule(self.network.head, init)))
        params = [params for _, params, _ in split]
        opt = [self.programs.init_update(arrays) for arrays in params]
        return LayerState(params, [stats for _, _, stats in split], opt, 0)

    def step(self, state: LayerState, batch: Batch) -> tuple[LayerState, jax.Array]:
        """One weight step; returns the loss."""
        size, programs = len(batch["label"]), self.programs
        params, stats = state.params, list(state.stats)
        wiring, places = self.network.wiring, itertools.count()
        tape: list[_Tape] = []

        def run(piece: Piece, *inputs: Any) -> tuple[Any, tuple[int, Any]]:
            at = next(places)
            y, stats[at], kept = programs.forward(piece, size)(params[at], state.stats[at], *inputs)
            return y, (at, kept)

        def run_chain(chain: tuple[Piece, ...], y: Any) -> tuple[Any, list[tuple[int, Any]]]:
            residuals = []
            for piece in chain:
                y, kept = run(piece, y)
                residuals.append(kept)
            return y, residuals

        def forward(number: int, inputs: list[Any]) -> Any:
            unit = self._units[number]
            x, entry = (inputs[0], None) if unit.entry is None else run(unit.entry, *inputs)
            (y, main), (z, side), join = run_chain(unit.layers, x), run_chain(unit.shortcut, x), None
            if unit.join is not None:
                y, join = programs.forward(unit.join, size)(*(y, z)[: len(unit.join.shapes)])
            tape.append(_Tape(entry, main, side, join))
            return y

        x = wiring.run(programs.pixels(self.network.input_shape, size)(batch["clip"]), forward)
        grads: list[Any] = [()] * len(params)
        squares = []
        seed, step = np.int32(self.seed), np.int32(state.step)
        loss, grads[-1], dx, square = programs.head(self.network.head, size)(params[-1], x, batch["label"], seed, step)
        squares.append(square)

        def pull(piece: Piece, kept: tuple[int, Any], dy: Any) -> Any:
            at, residuals = kept
            grads[at], *dx, square = programs.backward(piece, size)(residuals, dy)
            if grads[at]:
                squares.append(square)
            return dx

        def pull_chain(chain: tuple[Piece, ...], residuals: list[tuple[int, Any]], dx: Any) -> Any:
            for piece, kept in zip(reversed(chain), reversed(residuals)):
                (dx,) = pull(piece, kept, dx)
            return dx

        waiting: dict[int, Any] = {wiring.streams + len(tape) - 1: dx}
        """Gradients of arrays, as far as their readers are done."""
        for number, (lowered, unit, kept) in reversed([*enumerate(zip(self.network.units, self._units, tape))]):
            dx, side_dx = waiting.pop(wiring.streams + number), None
            if unit.join is not None:
                dx, *others = programs.backward(unit.join, size)(kept.join, dx)
                side_dx = others[0] if others else None
            dx = pull_chain(unit.layers, kept.main, dx)
            if side_dx is not None:
                dx = programs.add(lowered.in_shape, size)(dx, pull_chain(unit.shortcut, kept.side, side_dx))
            inputs_dx = [dx] if unit.entry is None else pull(unit.entry, kept.entry, dx)
            for at, shape, part in zip(wiring.reads[number], lowered.in_shapes, inputs_dx):
                if at >= wiring.streams:
                    waiting[at] = programs.add(shape, size)(waiting[at], part) if at in waiting else part
        factor = programs.factor(len(squares))(*squares)
        opt = list(state.opt)
        params = list(params)
        for at, grad in enumerate(grads):
            if grad:
                update = programs.update(tuple(array.shape for array in params[at]))
                params[at], opt[at] = update(params[at], grad, opt[at], factor)
        return LayerState(params, stats, opt, state.step + 1), loss

    def score(self, state: LayerState, batches: Iterable[Batch]) -> Score:
        """Accuracy in evaluation mode."""
        return sum_score([self._count(state, batch) for batch in batches])

    def train(self, batches: Iterator[Batch], state: LayerState | None = None, until: int | None = None) -> LayerState:
        """Trains from fresh weights, or on from a state, up to step ``until`` (default: the whole training).

        Raises:
            FloatingPointError: the loss is not finite; the message names the steps.
        """
        state = self.init() if state is None else state
        until = self.training.steps if until is None else until
        losses: list[Any] = []
        while state.step < until:
            state, loss = self.step(state, next(batches))
            losses.append(loss)
            if state.step == until or len(losses) == max(self.training.steps // 20, 1):
                mean = float(np.mean(jax.device_get(losses)))
                if not np.isfinite(mean):
                    raise FloatingPointError(
                        f"the loss is finite; between steps {state.step - len(losses) + 1} and {state.step} it is not"
                    )
                losses = []
        return state

    def _count(self, state: LayerState, batch: Batch) -> dict[str, Any]:
        size, programs, places = len(batch["label"]), self.programs, itertools.count()

        def run(piece: Piece, *inputs: Any) -> Any:
            at = next(places)
            return programs.evaluation(piece, size)(state.params[at], state.stats[at], *inputs)

        def forward(number: int, inputs: list[Any]) -> Any:
            unit = self._units[number]
            x = inputs[0] if unit.entry is None else run(unit.entry, *inputs)
            ends = [
                functools.reduce(lambda y, piece: run(piece, y), chain, x) for chain in (unit.layers, unit.shortcut)
            ]
            if unit.join is None:
                return ends[0]
            return programs.evaluation(unit.join, size)(*ends[: len(unit.join.shapes)])

        x = self.network.wiring.run(programs.pixels(self.network.input_shape, size)(batch["clip"]), forward)
        head = programs.count(self.network.head, size)
        return head(state.params[-1], x, batch["label"], batch["weight"])
