"""The compiled programs of one plan: a supernet of its sizes that runs on slices of the weights all plans share.

A convolution's weights depend neither on resolution nor on frames or strides, and a narrower block's are the leading
channels of a wider one's. So the weights of the largest plan hold those of every other, by path, as leading slices.

One program serves a plan and its *prefixes*, the plans of its first blocks: it computes them on its way to the last.
"""

from collections.abc import Callable, Mapping
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from flax import nnx
from jax import Array

from tvnjax.core.errors import InvalidInputError
from tvnjax.core.variables import ArchParam
from tvnjax.graph import HeadKind
from tvnjax.nn.parts import BN_MOMENTUM, Precision, normalize
from tvnjax.spaces.relaxing import Relaxation, RelaxedPlan
from tvnjax.trainers.compilation import compile_program
from tvnjax.trainers.gene_weights import GeneWeights
from tvnjax.trainers.objective import count_correct, cross_entropy

Batch = Mapping[str, Any]
"""What a loader gives for a step: arrays by name, which a ``View`` reads; for scoring ``weight`` float32 ``[B]``."""

View = Callable[[Batch], tuple[Array, Array]]
"""Cuts a plan's frames and pixels out of a batch: pixels ``[B, T, H, W, 3]`` and labels int32 ``[B]``. Which frames is
part of the batch: plans that differ in the frame stride alone are one program."""


class PlanPrograms:
    """Compiles each program on its first call and counts the seconds.

    Args:
        relaxation: makes the supernet.
        plan: what it relaxes.
        lengths: numbers of blocks for which it has losses; the last is the plan's own.
        view: cuts the plan's clips out of stored ones.
        sampled: whether gene weights hold zeros whose paths are then left out.
        precision: of activations; weights, gradients, statistics and losses are float32 either way.
        remat: whether a gradient computes the insides of units again instead of keeping them.
    """

    def __init__(
        self,
        relaxation: Relaxation,
        plan: RelaxedPlan,
        lengths: tuple[int, ...],
        num_classes: int,
        view: View,
        *,
        sampled: bool,
        head: HeadKind = "mean",
        precision: Precision = "float32",
        remat: bool = False,
    ):
        self.plan, self.lengths, self._view, self._sampled = plan, lengths, view, sampled
        self._precision, self._remat = precision, remat
        self._graph, params, self._alphas, self.fresh_stats = nnx.split(
            relaxation.supernet(plan, num_classes, head=head), nnx.Param, ArchParam, ...
        )
        self._shapes = {path: leaf.shape for path, leaf in nnx.to_flat_state(params)}
        self._compiled: dict[str, Any] = {}
        self.compile_seconds = 0.0

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

    def gradients(
        self, shared: nnx.State, weights: GeneWeights, batch: Batch, parts: np.ndarray | None = None
    ) -> tuple[Array, nnx.State, GeneWeights]:
        """Loss on a batch (batch statistics), its gradients for the shared weights and for the gene weights.

        Args:
            parts: of the loss, for every one of ``lengths``; default: the plan's own length alone.
        """
        if parts is None:
            parts = np.eye(len(self.lengths), dtype=np.float32)[-1]
        arguments = (shared, weights, batch, parts)
        return self._call("gradients", self._gradients, *arguments)

    def losses(self, shared: nnx.State, weights: GeneWeights, batch: Batch) -> Array:
        """Mean cross-entropy on a batch, with the batch's own statistics, for every one of ``lengths``."""
        return self._call("losses", self._losses, shared, weights, batch)

    def score(self, shared: nnx.State, stats: nnx.State, weights: GeneWeights, batch: Batch) -> Any:
        """``count_correct`` of a batch in evaluation mode, for the prefix that has ``weights``."""
        return self._call(f"score {len(weights)}", self._score, shared, stats, weights, batch)

    def statistics(
        self, shared: nnx.State, stats: nnx.State, weights: GeneWeights, batch: Batch, momentum: float
    ) -> nnx.State:
        """Running statistics of the prefix that has ``weights`` after one more batch."""
        arguments = (shared, stats, weights, batch, jnp.float32(momentum))
        return self._call(f"statistics {len(weights)}", self._statistics, *arguments)

    def _model(self, shared: nnx.State, stats: nnx.State) -> Any:
        return nnx.merge(self._graph, self.slices(shared), self._alphas, stats, copy=True)

    def _read(self, batch: Batch) -> tuple[Array, Array]:
        pixels, label = self._view(batch)
        return normalize(pixels).astype(self._precision), label

    def _losses(self, shared: nnx.State, weights: GeneWeights, batch: Batch) -> Array:
        model = self._model(shared, self.fresh_stats)
        pixels, label = self._read(batch)
        options: Any = {"train": True, "momentum": BN_MOMENTUM, "sampled": self._sampled}
        if self._remat:
            options["remat"] = True
        scores = model.of_lengths(pixels, weights, self.lengths, **options)
        return jnp.stack([cross_entropy(logits, label) for logits in scores])

    def _gradients(
        self, shared: nnx.State, weights: GeneWeights, batch: Batch, parts: Array
    ) -> tuple[Array, nnx.State, GeneWeights]:
        def loss(shared: nnx.State, weights: GeneWeights) -> Array:
            return parts @ self._losses(shared, weights, batch)

        value, grads = jax.value_and_grad(loss, argnums=(0, 1))(shared, weights)
        return value, *grads

    def _score(self, shared: nnx.State, stats: nnx.State, weights: GeneWeights, batch: Batch) -> dict[str, Array]:
        model = self._model(shared, stats)
        pixels, label = self._read(batch)
        return count_correct(model(pixels, weights), label, batch["weight"])

    def _statistics(
        self, shared: nnx.State, stats: nnx.State, weights: GeneWeights, batch: Batch, momentum: Array
    ) -> nnx.State:
        model = self._model(shared, stats)
        model(self._read(batch)[0], weights, train=True, momentum=momentum)
        return nnx.state(model, nnx.BatchStat)

    def _call(self, name: str, function: Callable, *args: Any) -> Any:
        if name not in self._compiled:
            self._compiled[name], seconds = compile_program(function, *args)
            self.compile_seconds += seconds
        return self._compiled[name](*args)
