"""Compiled programs of single layers, shared by every network that has such a layer.

A search trains many different networks for a short time each, and compiling a whole network takes longer than training
it. Networks of one space are made of the same few layers, though: a layer is known by its lowered primitive (every
shape in it), and networks that differ in genes elsewhere have it in common. So programs are kept for each layer: its
forward pass with what the backward pass needs, the backward pass, the forward pass in evaluation mode, and the
optimizer's update of arrays of such sizes. A chain of them computes what one program of the whole network would.
"""

import dataclasses
import threading
import time
from collections import Counter
from collections.abc import Callable, Hashable, Iterable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import jax
import jax.numpy as jnp
import optax
from flax import nnx
from jax import Array

from tvnjax import graph
from tvnjax.graph import Network, Shape
from tvnjax.nn.child import HeadModule
from tvnjax.nn.convolution import Form
from tvnjax.nn.layers import build_layer
from tvnjax.nn.parts import Initializer, activation, normalize
from tvnjax.trainers.objective import count_correct, cross_entropy

Arrays = tuple[Array, ...]


@dataclasses.dataclass(frozen=True, kw_only=True)
class Piece:
    """One layer with the activation behind it, or where two branches meet (``layer`` is then ``None``)."""

    layer: graph.Layer | None
    shapes: tuple[Shape, ...]
    """What goes in: one array, or several, which the layer joins, or which are added where there is none."""
    act: str | None = None

    def __call__(self, module: Any, inputs: Arrays, *, train: bool) -> Array:
        """What it gives; ``module`` is the layer's."""
        if self.layer is None:
            y = _sum(inputs)
        else:
            y = module(inputs if isinstance(self.layer, graph.Join) else inputs[0], train=train)
        return activation(self.act)(y)


@dataclasses.dataclass(frozen=True, kw_only=True)
class UnitPieces:
    """A unit as pieces: ``join(layers(x), shortcut(x))`` where ``x`` is its input, or ``entry`` of several."""

    entry: Piece | None
    layers: tuple[Piece, ...]
    shortcut: tuple[Piece, ...]
    join: Piece | None

    @property
    def with_arrays(self) -> tuple[Piece, ...]:
        """Those with parameters and statistics, in the order of initialisation."""
        return (*([] if self.entry is None else [self.entry]), *self.layers, *self.shortcut)


def unit_pieces(unit: graph.Unit) -> UnitPieces:
    """Splits a unit; without a shortcut its activation goes with its last layer."""
    entry = None if unit.join is None else Piece(layer=unit.join, shapes=unit.in_shapes)
    layers = [Piece(layer=layer, shapes=layer.in_shapes) for layer in unit.layers]
    shortcut = tuple(Piece(layer=layer, shapes=layer.in_shapes) for layer in unit.shortcut or ())
    join = None
    if unit.shortcut is not None or not layers:
        ends = 1 if unit.shortcut is None else 2
        join = Piece(layer=None, shapes=(unit.out_shape,) * ends, act=unit.act)
    else:
        layers[-1] = dataclasses.replace(layers[-1], act=unit.act)
    return UnitPieces(entry=entry, layers=tuple(layers), shortcut=shortcut, join=join)


@dataclasses.dataclass(frozen=True)
class Trees:
    """How the arrays of a layer's parameters and running statistics are put back together."""

    graph: Any
    params: Any
    stats: Any

    @staticmethod
    def split(module: nnx.Module) -> "tuple[Trees, Arrays, Arrays]":
        """A module as a description, parameters and statistics."""
        graph, params, stats = nnx.split(module, nnx.Param, ...)
        return (
            Trees(graph, jax.tree.structure(params), jax.tree.structure(stats)),
            tuple(jax.tree.leaves(params)),
            tuple(jax.tree.leaves(stats)),
        )

    def merge(self, params: Arrays, stats: Arrays) -> Any:
        return nnx.merge(
            self.graph, jax.tree.unflatten(self.params, params), jax.tree.unflatten(self.stats, stats), copy=True
        )


class LayerPrograms:
    """A store of compiled programs; safe to use from several threads.

    Args:
        update: what the optimizer does with the arrays of one layer, gradients clipped already.
        clip_norm: the norm of all gradients together that they are clipped to.
        smoothing: of the labels.
        dropout: whether the head drops.
        form: of convolutions and pools.
    """

    def __init__(
        self, update: optax.GradientTransformation, clip_norm: float, smoothing: float, dropout: bool, form: Form
    ):
        self._tx, self._clip_norm, self._smoothing, self._dropout = update, clip_norm, smoothing, dropout
        self.form: Form = form
        self._programs: dict[Hashable, Any] = {}
        self.seconds: dict[Hashable, float] = {}
        """What each program took to compile."""
        self._locks: dict[Hashable, threading.Lock] = {}
        self._lock = threading.Lock()

    def __len__(self) -> int:
        return len(self._programs)

    # Programs of a piece. ``x`` is [batch, t, h, w, c], of several inputs each.

    def forward(self, piece: Piece, batch: int) -> Callable:
        """``(params, stats, *x) -> y, stats, residuals``; without a layer ``(*x) -> y, residuals``."""
        return self._forward(piece, batch)[0]

    def backward(self, piece: Piece, batch: int) -> Callable:
        """``(residuals, dy) -> gradients, *dx, sum of their squares``; without a layer ``-> *dx``."""
        forward = self._forward(piece, batch)
        return self._get(("backward", piece, batch), lambda: self._build_backward(piece, batch, *forward[1:]))

    def evaluation(self, piece: Piece, batch: int) -> Callable:
        """``(params, stats, *x) -> y``; without a layer ``(*x) -> y``."""
        return self._get(("evaluation", piece, batch), lambda: self._build_evaluation(piece, batch))

    def add(self, shape: Shape, batch: int) -> Callable:
        """``(x, y) -> x + y``: gradients of two readers of one array."""
        x = jax.ShapeDtypeStruct((batch, *shape), jnp.float32)
        return self._get(("add", shape, batch), lambda: jax.jit(jnp.add).lower(x, x).compile())

    def head(self, head: graph.Head, batch: int) -> Callable:
        """``(params, x, label, seed, step) -> loss, gradients, dx, sum of their squares``."""
        return self._get(("head", head, batch), lambda: self._build_head(head, batch))

    def count(self, head: graph.Head, batch: int) -> Callable:
        """``(params, x, label, weight) -> count_correct``."""
        return self._get(("count", head, batch), lambda: self._build_count(head, batch))

    def pixels(self, shape: Shape, batch: int) -> Callable:
        """``uint8 clips -> normalised float32``."""
        clip = jax.ShapeDtypeStruct((batch, *shape), jnp.uint8)
        return self._get(("pixels", shape, batch), lambda: jax.jit(normalize).lower(clip).compile())

    def update(self, shapes: tuple[tuple[int, ...], ...]) -> Callable:
        """``(params, gradients, optimizer state, factor) -> params, optimizer state``."""

        def build() -> Any:
            def update(params: Arrays, grads: Arrays, opt: Any, factor: Array) -> tuple[Any, Any]:
                updates, opt = self._tx.update(tuple(grad * factor for grad in grads), opt, params)
                return optax.apply_updates(params, updates), opt

            params = tuple(jax.ShapeDtypeStruct(shape, jnp.float32) for shape in shapes)
            opt = jax.eval_shape(self._tx.init, params)
            return jax.jit(update).lower(params, params, opt, _scalar(jnp.float32)).compile()

        return self._get(("update", shapes), build)

    def factor(self, count: int) -> Callable:
        """What gradients are multiplied with, from ``count`` sums of squares."""

        def build() -> Any:
            def factor(*squares: Array) -> Array:
                norm = jnp.sqrt(sum(squares, start=jnp.float32(0)))
                return jnp.where(norm < self._clip_norm, 1.0, self._clip_norm / norm)

            return jax.jit(factor).lower(*[_scalar(jnp.float32)] * count).compile()

        return self._get(("factor", count), build)

    def init_update(self, params: Arrays) -> Any:
        """A fresh optimizer state; nothing is compiled."""
        shapes = jax.eval_shape(self._tx.init, params)
        return jax.tree.map(lambda leaf: jnp.zeros(leaf.shape, leaf.dtype), shapes)

    def needed(self, lowered: Network, batch: int, eval_batch: int) -> list[Callable[[], Any]]:
        """Calls that compile what a network needs, each of them one or two programs."""
        calls: list[Callable[[], Any]] = [lambda: self.pixels(lowered.input_shape, batch)]
        calls.append(lambda: self.pixels(lowered.input_shape, eval_batch))
        updated = 1
        readers = Counter(at for reads in lowered.wiring.reads for at in reads)
        for number, unit in enumerate(lowered.units):
            pieces = unit_pieces(unit)
            if unit.shortcut is not None:
                calls.append(lambda shape=unit.in_shape: self.add(shape, batch))
            if readers[lowered.wiring.streams + number] > 1:
                calls.append(lambda shape=unit.out_shape: self.add(shape, batch))
            for piece in (*pieces.with_arrays, *([pieces.join] if pieces.join else [])):
                calls.append(lambda piece=piece: self.backward(piece, batch))
                calls.append(lambda piece=piece: self.evaluation(piece, eval_batch))
                if piece.layer is not None and piece.layer.params:
                    updated += 1
                    calls.append(lambda piece=piece: self.update(tuple(p.shape for p in self._template(piece)[1])))
        head = lowered.head
        calls.append(lambda: self.head(head, batch))
        calls.append(lambda: self.count(head, eval_batch))
        calls.append(lambda: self.update(tuple(p.shape for p in _head_template(head)[1])))
        calls.append(lambda: self.factor(updated))
        return calls

    def compile(self, networks: Iterable[Network], batch: int, eval_batch: int, threads: int) -> float:
        """Compiles ahead what some networks need, side by side (XLA lets go of the interpreter); wall seconds."""
        start = time.monotonic()
        with ThreadPoolExecutor(threads) as pool:
            calls = [call for lowered in networks for call in self.needed(lowered, batch, eval_batch)]
            for job in [pool.submit(call) for call in calls]:
                job.result()
        return time.monotonic() - start

    def _template(self, piece: Piece) -> tuple[Trees, Arrays, Arrays]:
        assert piece.layer is not None
        return Trees.split(build_layer(piece.layer, _Zeros(), self.form))

    def _forward(self, piece: Piece, batch: int) -> tuple[Callable, Any, Any]:
        """The program, how its residuals are put back together, and their shapes."""
        return self._get(("forward", piece, batch), lambda: self._build_forward(piece, batch))

    def _build_forward(self, piece: Piece, batch: int) -> tuple[Callable, Any, Any]:
        trees: list[Any] = []
        inputs = _inputs(piece, batch)

        if piece.layer is None:

            def join(*inputs: Array) -> tuple[Array, Any]:
                y, pull = jax.vjp(lambda *parts: piece(None, parts, train=True), *inputs)
                leaves, tree = jax.tree.flatten(pull)
                trees.append(tree)
                return y, leaves

            lowered = jax.jit(join).lower(*inputs)
            return lowered.compile(), trees[-1], lowered.out_info[1]

        module, params, stats = self._template(piece)

        def forward(params: Arrays, stats: Arrays, *inputs: Array) -> tuple[Array, Arrays, Any]:
            def call(params: Arrays, *inputs: Array) -> tuple[Array, Arrays]:
                layer = module.merge(params, stats)
                y = piece(layer, inputs, train=True)
                return y, tuple(jax.tree.leaves(nnx.state(layer, nnx.BatchStat)))

            y, pull, moved = jax.vjp(call, params, *inputs, has_aux=True)
            leaves, tree = jax.tree.flatten(pull)
            trees.append(tree)
            return y, moved, leaves

        lowered = jax.jit(forward).lower(params, stats, *inputs)
        return lowered.compile(), trees[-1], lowered.out_info[2]

    def _build_backward(self, piece: Piece, batch: int, tree: Any, residuals: Any) -> Any:
        shape = piece.layer.out_shape if piece.layer is not None else piece.shapes[0]
        dy = jax.ShapeDtypeStruct((batch, *shape), jnp.float32)
        residuals = [jax.ShapeDtypeStruct(leaf.shape, leaf.dtype) for leaf in residuals]

        def backward(residuals: Any, dy: Array) -> Any:
            pulled = jax.tree.unflatten(tree, residuals)(dy)
            if piece.layer is None:
                return pulled
            return (*pulled, _squares(pulled[0]))

        return jax.jit(backward).lower(residuals, dy).compile()

    def _build_evaluation(self, piece: Piece, batch: int) -> Any:
        inputs = _inputs(piece, batch)
        if piece.layer is None:
            return jax.jit(lambda *parts: piece(None, parts, train=False)).lower(*inputs).compile()
        module, params, stats = self._template(piece)

        def evaluate(params: Arrays, stats: Arrays, *inputs: Array) -> Array:
            return piece(module.merge(params, stats), inputs, train=False)

        return jax.jit(evaluate).lower(params, stats, *inputs).compile()

    def _build_head(self, head: graph.Head, batch: int) -> Any:
        module, params, _ = _head_template(head)

        def step(params: Arrays, x: Array, label: Array, seed: Array, step: Array) -> Any:
            key = jax.random.fold_in(jax.random.key(seed), step) if self._dropout else None

            def loss(params: Arrays, x: Array) -> Array:
                return cross_entropy(module.merge(params, ())(x, dropout_key=key), label, smoothing=self._smoothing)

            value, (grads, dx) = jax.value_and_grad(loss, argnums=(0, 1))(params, x)
            return value, grads, dx, _squares(grads)

        x = jax.ShapeDtypeStruct((batch, *head.in_shape), jnp.float32)
        label, whole = jax.ShapeDtypeStruct((batch,), jnp.int32), _scalar(jnp.int32)
        return jax.jit(step).lower(params, x, label, whole, whole).compile()

    def _build_count(self, head: graph.Head, batch: int) -> Any:
        module, params, _ = _head_template(head)
        x = jax.ShapeDtypeStruct((batch, *head.in_shape), jnp.float32)
        label = jax.ShapeDtypeStruct((batch,), jnp.int32)
        weight = jax.ShapeDtypeStruct((batch,), jnp.float32)

        def count(params: Arrays, x: Array, label: Array, weight: Array) -> dict[str, Array]:
            return count_correct(module.merge(params, ())(x), label, weight)

        return jax.jit(count).lower(params, x, label, weight).compile()

    def _get(self, key: Hashable, build: Callable[[], Any]) -> Any:
        if key in self._programs:
            return self._programs[key]
        with self._lock:
            lock = self._locks.setdefault(key, threading.Lock())
        with lock:
            if key not in self._programs:
                start = time.monotonic()
                program = build()
                self.seconds[key] = time.monotonic() - start
                self._programs[key] = program
        return self._programs[key]


class _Zeros(Initializer):
    """For modules whose arrays are only looked at for their shapes."""

    def __init__(self) -> None:
        super().__init__(0)

    def normal(self, shape: tuple[int, ...], fan_in: int, gain: float = 2.0) -> Array:
        return jnp.zeros(shape)


def _head_template(head: graph.Head) -> tuple[Trees, Arrays, Arrays]:
    return Trees.split(HeadModule(head, _Zeros()))


def _inputs(piece: Piece, batch: int) -> list[jax.ShapeDtypeStruct]:
    return [jax.ShapeDtypeStruct((batch, *shape), jnp.float32) for shape in piece.shapes]


def _sum(parts: Any) -> Any:
    return sum(parts[1:], start=parts[0])


def _squares(grads: Arrays) -> Array:
    return sum((jnp.sum(jnp.square(grad)) for grad in grads), start=jnp.float32(0))


def _scalar(dtype: Any) -> jax.ShapeDtypeStruct:
    return jax.ShapeDtypeStruct((), dtype)
