"""One plan's supernet, of its sizes, on slices of the weights that all plans share: losses, gradients, scores.

A convolution's weights depend neither on resolution nor on frames or strides, and a narrower block's are the leading
channels of a wider one's. So the weights of the largest plan hold those of every other, by path, as leading slices.

One supernet serves a plan and its *prefixes*, the plans of its first blocks: it computes them on its way to the last.
"""

from collections.abc import Callable, Mapping
from typing import Any

import jax
import jax.numpy as jnp
from flax import nnx
from jax import Array

from tvnjax.core.errors import InvalidInputError
from tvnjax.core.variables import ArchParam
from tvnjax.data.batch_fields import STORED
from tvnjax.graph import HeadKind
from tvnjax.nn.parts import BN_MOMENTUM, Precision, normalize
from tvnjax.spaces.relaxing import Relaxation, RelaxedPlan
from tvnjax.trainers.gene_layout import GeneLayout
from tvnjax.trainers.gene_weights import GeneWeights, plan_masks
from tvnjax.trainers.objective import count_correct, cross_entropy
from tvnjax.trainers.param_layout import ParamLayout

Batch = Mapping[str, Any]
"""What a loader gives for a step: arrays by name, which a ``View`` reads; for scoring ``weight`` float32 ``[B]``."""

View = Callable[[Batch], tuple[Array, Array]]
"""Cuts a plan's frames and pixels out of a batch: pixels ``[B, T, H, W, 3]`` and labels int32 ``[B]``. Which frames is
part of the batch: plans that differ in the frame stride alone are one program."""


class PlanSupernet:
    """Plain functions, to be compiled by whoever calls them.

    Args:
        relaxation: makes the supernet.
        plan: what it relaxes.
        lengths: numbers of blocks for which it has losses; the last is the plan's own.
        layout: of the gene weights that losses and gradients are given and give.
        weights: of the weights that all plans share.
        view: cuts the plan's clips out of a batch.
        sampled: whether gene weights hold zeros whose paths are then left out.
        platform: that it is compiled for.
        precision: of activations; weights, gradients, statistics and losses are float32 either way.
        remat: whether a gradient computes the insides of units again instead of keeping them.
        accumulate: parts that a batch is worked on in, one after the other; each has its own batch statistics.
        joint: whether a search step computes training and validation clips in one pass (``gradients_of_both``).
        unroll: write those parts out one by one instead of as a loop, which XLA is slow at on a CPU.
        undrawn: make the supernet without drawing weights, which it does not keep.
    """

    def __init__(
        self,
        relaxation: Relaxation,
        plan: RelaxedPlan,
        lengths: tuple[int, ...],
        num_classes: int,
        layout: GeneLayout,
        weights: ParamLayout,
        view: View,
        *,
        sampled: bool,
        head: HeadKind = "mean",
        platform: str | None = None,
        precision: Precision = "float32",
        remat: bool = False,
        accumulate: int = 1,
        joint: bool = False,
        unroll: bool = True,
        undrawn: bool = False,
    ):
        self.plan, self.lengths, self._layout, self._view, self._sampled = plan, lengths, layout, view, sampled
        self._weights, self.joint = weights, joint
        self._precision, self._remat, self._accumulate, self._unroll = precision, remat, accumulate, unroll
        model = relaxation.supernet(plan, num_classes, None if undrawn else 0, head=head, platform=platform)
        self._graph, params, self._alphas, self.fresh_stats = nnx.split(model, nnx.Param, ArchParam, ...)
        self._shapes = {path: leaf.shape for path, leaf in nnx.to_flat_state(params)}
        self.mask = layout.pack(plan_masks(plan, len(layout.genes)), bool)
        """What the plan can have, in the layout."""

    def slices(self, shared: nnx.State) -> nnx.State:
        """This plan's weights: the leading part of every shared array it has."""
        whole = dict(nnx.to_flat_state(shared))
        parts = []
        for path, shape in self._shapes.items():
            leaf = whole[path]
            part = leaf[...][tuple(slice(size) for size in shape)]
            if part.shape != shape:
                raise InvalidInputError(
                    f"the weights of a smaller plan are slices of the largest's; {'.'.join(map(str, path))} is {shape} "
                    f"in one of {leaf[...].shape}: give its layer variables that only grow with the width"
                )
            parts.append((path, leaf.replace(part)))
        return nnx.from_flat_state(parts)

    def gradients(self, shared: Array, weights: Array, batch: Batch, parts: Array) -> tuple[Array, Array, Array]:
        """Loss on a batch (batch statistics), its gradients for the shared weights and for the gene weights.

        Args:
            weights: in the layout.
            parts: of the loss, for every one of ``lengths``.
        """

        params = self._weights.unflatten(shared)

        def gradients(batch: Batch) -> tuple[Array, Array, Array]:
            def loss(shared: nnx.State, weights: Array) -> Array:
                return parts @ self._losses(shared, weights, batch)

            value, (grads, by_gene) = jax.value_and_grad(loss, argnums=(0, 1))(params, weights)
            return value, self._weights.flatten(grads), by_gene

        return self._mean(gradients, batch)

    def gradients_of_both(
        self, shared: Array, weights: Array, train: Batch, val: Batch, parts: Array
    ) -> tuple[Array, Array, Array, Array]:
        """What ``gradients`` gives of two batches of one size, in one pass with batch statistics of its own for each:
        the loss on training clips and its gradient for the shared weights, the loss on validation clips and its
        gradient for the gene weights. As many kernels as for one batch, nearly, and the memory of both."""
        params = self._weights.unflatten(shared)

        def gradients(batches: Batch) -> tuple[Array, Array, Array, Array]:
            read = [self._read(batch) for batch in (batches["train"], batches["val"])]
            pixels, label = (jnp.stack(pair) for pair in zip(*read))

            def loss(shared: nnx.State, weights: Array, pixels: Array, label: Array) -> Array:
                return parts @ self._losses_of(shared, weights, pixels, label)

            def of_one(pixels: Array, label: Array) -> tuple[Array, Array, Array]:
                value, (grads, by_gene) = jax.value_and_grad(loss, argnums=(0, 1))(params, weights, pixels, label)
                return value, self._weights.flatten(grads), by_gene

            (on_train, on_val), grads, by_gene = jax.vmap(of_one)(pixels, label)
            return on_train, grads[0], on_val, by_gene[1]

        return self._mean(gradients, {"train": train, "val": val})

    def losses(self, shared: Array, weights: Array, batch: Batch) -> Array:
        """Mean cross-entropy on a batch, with the batch's own statistics, for every one of ``lengths``."""
        params = self._weights.unflatten(shared)
        return self._mean(lambda batch: self._losses(params, weights, batch), batch)

    def score(self, shared: Array, stats: nnx.State, weights: GeneWeights, batch: Batch) -> dict[str, Array]:
        """``count_correct`` of a batch in evaluation mode, for the prefix that has ``weights``."""
        model = self._model(self._weights.unflatten(shared), stats)
        pixels, label = self._read(batch)
        return count_correct(model(pixels, weights), label, batch["weight"])

    def statistics(
        self, shared: Array, stats: nnx.State, weights: GeneWeights, batch: Batch, momentum: Array
    ) -> nnx.State:
        """Running statistics of the prefix that has ``weights`` after one more batch."""
        model = self._model(self._weights.unflatten(shared), stats)
        model(self._read(batch)[0], weights, train=True, momentum=momentum)
        return nnx.state(model, nnx.BatchStat)

    def _model(self, shared: nnx.State, stats: nnx.State) -> Any:
        return nnx.merge(self._graph, self.slices(shared), self._alphas, stats, copy=True)

    def _read(self, batch: Batch) -> tuple[Array, Array]:
        pixels, label = self._view(batch)
        return normalize(pixels).astype(self._precision), label

    def _losses(self, shared: nnx.State, weights: Array, batch: Batch) -> Array:
        return self._losses_of(shared, weights, *self._read(batch))

    def _losses_of(self, shared: nnx.State, weights: Array, pixels: Array, label: Array) -> Array:
        model = self._model(shared, self.fresh_stats)
        options: Any = {"train": True, "momentum": BN_MOMENTUM, "sampled": self._sampled}
        if self._remat:
            options["remat"] = True
        unpacked = self._layout.unpack(weights, len(self.plan.blocks))
        scores = model.of_lengths(pixels, unpacked, self.lengths, **options)
        return jnp.stack([cross_entropy(logits, label) for logits in scores])

    def _mean(self, function: Callable[[Batch], Any], batch: Batch) -> Any:
        """Of what a function gives for each part of a batch."""
        count = self._accumulate
        if count == 1:
            return function(batch)
        parts = [_part(batch, index, count) for index in range(count)]
        if self._unroll:
            results = [function(part) for part in parts]
            return jax.tree.map(lambda *leaves: sum(leaves) / count, *results)
        stored = _stored(batch)
        stacked = jax.tree.map(lambda *leaves: jnp.stack(leaves), *[_without_stored(part) for part in parts])

        def add(total: Any, part: Batch) -> tuple[Any, None]:
            return jax.tree.map(jnp.add, total, function(_joined(part, stored))), None

        shapes = jax.eval_shape(function, parts[0])
        zeros = jax.tree.map(lambda leaf: jnp.zeros(leaf.shape, leaf.dtype), shapes)
        total, _ = jax.lax.scan(add, zeros, stacked)
        return jax.tree.map(lambda leaf: leaf / count, total)


def _without_stored(batch: Batch) -> dict[str, Any]:
    rest = {name: value for name, value in batch.items() if name != STORED}
    return {name: _without_stored(value) if isinstance(value, Mapping) else value for name, value in rest.items()}


def _stored(batch: Batch) -> dict[str, Any]:
    inside = {name: _stored(value) for name, value in batch.items() if isinstance(value, Mapping)}
    return {**inside, **{name: value for name, value in batch.items() if name == STORED}}


def _joined(part: Batch, stored: Batch) -> dict[str, Any]:
    inside = {name: _joined(part[name], value) for name, value in stored.items() if isinstance(value, Mapping)}
    return {**part, **stored, **inside}


def _part(batch: Batch, index: int, count: int) -> dict[str, Any]:
    """Every so manieth clip, so that a batch that is spread over devices stays where it is."""

    def rows(name: str, value: Any) -> Any:
        if isinstance(value, Mapping):
            return _part(value, index, count)
        if name == STORED:
            return value
        return jax.tree.map(lambda leaf: leaf.reshape(leaf.shape[0] // count, count, *leaf.shape[1:])[:, index], value)

    return {name: rows(name, value) for name, value in batch.items()}
