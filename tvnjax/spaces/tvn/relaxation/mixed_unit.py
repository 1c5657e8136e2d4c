"""One unit of the supernet with all its choices."""

from collections.abc import Callable, Mapping
from typing import Any

import jax.numpy as jnp
import numpy as np
from flax import nnx
from jax import Array

from tvnjax import graph
from tvnjax.graph import Shape
from tvnjax.nn.conditional import module_if
from tvnjax.nn.convolution import Form
from tvnjax.nn.layers import ConvNorm
from tvnjax.nn.parts import Initializer, times
from tvnjax.nn.weighted import chosen, combined
from tvnjax.spaces.tvn.lowering import strided
from tvnjax.spaces.tvn.relaxation.masks import Widths, fit_channels, mixed_activation, prefix_mask
from tvnjax.spaces.tvn.relaxation.mixed_gates import MixedGates
from tvnjax.spaces.tvn.relaxation.mixed_spatial import MixedSpatial
from tvnjax.spaces.tvn.relaxation.mixed_temporal import Dense, MixedTemporal
from tvnjax.spaces.tvn.relaxed import RelaxedBlock


class MixedUnit(nnx.Module):
    """A unit, plain or with an inverted bottleneck, the two sharing all layers between their ends.

    A plain unit mixes its input in space and time and then expands it; an inverted one expands first (``widen``),
    mixes the wide array, gates it and ends with ``narrow``. Every array is as wide as its widest candidate; a narrower
    one has zeros behind. Sizes depend on the candidates and grow with the plan, never on what a plan forbids, so that
    the parameters of a smaller plan are leading corners of those of a larger one.

    Args:
        block: the candidates.
        repeat: which unit of the block.
        in_shape: of the input, as wide as it can be.
        in_widths: every width the input may have.
        init: draws the weights.
        form: see ``convolution.Form``.
        room: widths that arrays have in other plans.
    """

    def __init__(
        self,
        block: RelaxedBlock,
        repeat: int,
        in_shape: Shape,
        in_widths: tuple[int, ...],
        init: Initializer,
        form: Form,
        room: tuple[int, ...] = (),
    ):
        self.block = block
        self.form: Form = form
        filters, expanded = max(block.filters), max(block.filters) * max(*block.expand, 1)
        self.plain, self.inverts = False in block.inverted_bottleneck, True in block.inverted_bottleneck
        self.filters, self.inner = filters, expanded if self.inverts else filters
        spatial_stride = block.fixed.spatial_stride if repeat == 0 else 1
        temporal_stride = block.fixed.temporal_stride if repeat == 0 and in_shape.t > 1 else 1

        wide = in_shape._replace(c=self.inner)
        if self.inverts:
            self.widen = ConvNorm(graph.Conv(in_shape=in_shape, out_shape=wide, act="relu"), init, form)
        shape = in_shape._replace(c=max(in_shape.c if self.plain else 0, self.inner if self.inverts else 0))
        self.source_channels = shape.c
        inverse = {max(f * e, f) for f in block.filters for e in block.expand} if self.inverts else set()
        own: dict = {"widths": sorted({*(in_widths if self.plain else ()), *inverse}), "room": room}
        acts = block.spatial_act
        self.spatial = MixedSpatial(block.spatial, shape, self.inner, spatial_stride, init, form, acts, filters, **own)
        convolved = {*(block.filters if self.plain else ()), *inverse} if self.spatial.convolves else set()
        own["widths"] = sorted({*convolved, *(own["widths"] if self.spatial.bypasses else ())})
        shape = strided(shape, (1, spatial_stride, spatial_stride), self.spatial.out_channels)
        # A plain unit's convolutions give ``filters`` channels, and what stands for them as many as come in.
        dense = Dense(min(shape.c, max(filters, in_shape.c if self.spatial.bypasses else 0)), filters)
        timed, acts = repeat % 2 == 0 and in_shape.t > 1, block.temporal_act
        self.temporal = (
            MixedTemporal(block.temporal, shape, self.inner, temporal_stride, init, form, acts, dense, **own)
            if timed
            else None
        )
        self.has_own = bool(self.spatial.own_indices or (self.temporal is not None and self.temporal.own_indices))
        if self.temporal is not None:
            shape = strided(shape, (temporal_stride, 1, 1), self.temporal.out_channels)

        # Behind expand 0 a plain unit is as wide as its convolutions or, without any, as its input.
        unexpanded = self.plain and 0 in block.expand
        self.keeps_width = unexpanded and self.spatial.bypasses
        plain_widths = {f * e for f in block.filters for e in block.expand if e > 0} if self.plain else set()
        plain_widths |= {*(block.filters if unexpanded else ()), *(in_widths if self.keeps_width else ())}
        self.plain_width = max(plain_widths, default=0)
        self.out_widths = tuple(sorted(plain_widths | set(block.filters if self.inverts else ())))
        self.out_shape = shape._replace(c=max(self.out_widths))
        gate_widths = plain_widths | (
            {max(f * e, f) for f in block.filters for e in block.expand} if self.inverts else set()
        )
        gate_shape = shape._replace(c=max(gate_widths))
        self.gate_width = gate_shape.c
        if self.plain and max(block.expand) > 0:
            mixed_width = max(filters, in_shape.c if self.spatial.bypasses else 0)
            mixed = shape._replace(c=min(shape.c, mixed_width))
            self.expand_input = mixed.c
            target = shape._replace(c=expanded)
            self.expand = ConvNorm(graph.Conv(in_shape=mixed, out_shape=target), init, form)
        self.gates = MixedGates(block, gate_shape, sorted(gate_widths), init, form)
        if self.inverts:
            wide, narrow = shape._replace(c=self.inner), shape._replace(c=filters)
            self.narrow = ConvNorm(graph.Conv(in_shape=wide, out_shape=narrow), init, form)
        stride = (1, spatial_stride, spatial_stride)
        projection = graph.Conv(in_shape=in_shape, out_shape=self.out_shape, stride=stride)
        skips = any(block.skip) and shape.t == in_shape.t
        self.shortcut = ConvNorm(projection, init, form) if skips else None

    def __call__(
        self,
        x: Array,
        widths: Widths,
        p: Mapping[str, Array],
        *,
        train: bool,
        momentum: float | Array,
        sampled: bool = False,
    ) -> tuple[Array, Widths]:
        """The mixture under the block's gene weights.

        Args:
            x: ``[B, T, H, W, C]``.
            widths: how likely each width of ``x`` is.
            p: a vector of weights for each gene.
            train: batch statistics, and the running ones move.
            momentum: of the running statistics.
            sampled: paths of weight 0 are not computed.

        Returns:
            ``[B, *out_shape]`` and how likely each of its widths is.
        """
        block = self.block

        def part(weight: Any, module: Any, y: Array, mask: Array, optional: bool = True) -> Array:
            """A convolution with its normalisation, masked; one with a weight that may be 0 is optional."""

            def call(module: Any, y: Array, mask: Array, momentum: float | Array) -> Array:
                return module(y, train=train, momentum=momentum, mask=mask)

            arrays = (y, mask, momentum)
            return module_if(weight, module, call, *arrays) if sampled and optional else call(module, *arrays)

        inverted = combined(p["inverted_bottleneck"], np.array(block.inverted_bottleneck))
        either = self.plain and self.inverts
        joint = jnp.outer(p["filters"], p["expand"]).ravel()
        expanded = ([max(f * e, f) for f in block.filters for e in block.expand], joint)

        def blend(plain: Callable[[], Array], inverse: Callable[[], Array], width: int) -> Array:
            """What the two kinds of unit have at one point, weighted, ``width`` channels wide."""
            if not either:
                return fit_channels(plain() if self.plain else inverse(), width)
            return times(1 - inverted, fit_channels(plain(), width)) + times(inverted, fit_channels(inverse(), width))

        keep_filters = prefix_mask(block.filters, p["filters"], self.filters)
        keep_inner = prefix_mask(*expanded, self.inner) if self.inverts else keep_filters
        keep = blend(lambda: keep_filters, lambda: keep_inner, self.inner)

        y = blend(lambda: x, lambda: part(inverted, self.widen, x, keep_inner, either), self.source_channels)
        options: Any = {"train": train, "momentum": momentum, "sampled": sampled}
        received = between = None
        if self.has_own:
            came = [(widths.sizes, widths.probabilities)] if self.plain else []
            received = Widths.joined(*self._blend_widths(came, expanded, inverted))
            narrow = [(block.filters, p["filters"])] if self.plain else []
            convolved = Widths.joined(*self._blend_widths(narrow, expanded, inverted))
            between = self._between(received, convolved, p["spatial"])
        y = self.spatial(y, p["spatial"], keep, p["spatial_act"], widths=received, **options)
        if self.temporal is not None:
            y = self.temporal(y, p["temporal"], keep, p["temporal_act"], widths=between, **options)

        def plain_end() -> Array:
            """The plain unit in front of its gates."""
            unexpanded, total = np.flatnonzero(np.array(block.expand) == 0), jnp.zeros((), y.dtype)
            if len(unexpanded):
                total = times(combined(p["expand"], np.array(block.expand) == 0), fit_channels(y, self.plain_width))
            if max(block.expand) > 0:
                sizes, chances = self._expanded(p)
                optional = either or len(unexpanded) > 0
                weight = combined(p["expand"], np.array(block.expand) > 0) * (1 - inverted if either else 1)
                keep = prefix_mask(sizes, chances, self.expand.kernel.shape[-1])
                convolved = part(weight, self.expand, fit_channels(y, self.expand_input), keep, optional)
                total = total + fit_channels(convolved, self.plain_width)
            return total

        plain = self._plain_widths(widths, p)
        gate_widths = Widths.listed(*self._blend_widths(plain, expanded, inverted))
        out_widths = self._blend_widths(plain, (block.filters, p["filters"]), inverted)
        y = self.gates(blend(plain_end, lambda: y, self.gate_width), p, gate_widths, sampled=sampled)

        def narrowed() -> Array:
            return part(inverted, self.narrow, fit_channels(y, self.inner), keep_filters, either)

        y = blend(lambda: y, narrowed, self.out_shape.c)
        if self.shortcut is not None:
            amount = combined(p["skip"], np.array(block.skip))
            optional = not all(block.skip)
            y = y + part(amount, self.shortcut, x, amount * Widths.listed(*out_widths).mask(self.out_shape.c), optional)
        return mixed_activation(block.act, y, p["act"], self.form), Widths.joined(*out_widths)

    def _between(self, received: Widths, convolved: Widths, weights: Array) -> Widths:
        """How likely each width between the spatial and the temporal operator is."""
        kept = self.spatial.bypass_amount(weights)
        parts = [(received.sizes, kept * received.probabilities)] if self.spatial.bypasses else []
        parts += [(convolved.sizes, (1 - kept) * convolved.probabilities)] if self.spatial.convolves else []
        return Widths.joined(*parts)

    def _expanded(self, p: Mapping[str, Array]) -> tuple[list[int], Array]:
        """Widths behind the expanding convolution and their probabilities (which sum to that of having one)."""
        on = np.flatnonzero(self.block.expand)
        sizes = [f * self.block.expand[e] for f in self.block.filters for e in on]
        return sizes, jnp.outer(p["filters"], chosen(p["expand"], on)).ravel()

    def _plain_widths(self, widths: Widths, p: Mapping[str, Array]) -> list[tuple[Any, Array]]:
        """How likely each width in front of a plain unit's gates is, in parts."""
        if not self.plain:
            return []
        parts: list[tuple[Any, Array]] = [self._expanded(p)] if max(self.block.expand) > 0 else []
        if 0 in self.block.expand:
            left_out = combined(p["expand"], np.array(self.block.expand) == 0)
            kept = self.spatial.bypass_amount(p["spatial"]) if self.keeps_width else 0.0
            if self.keeps_width and self.temporal is not None:
                kept = kept * self.temporal.bypass_amount(p["temporal"])
            parts.append((self.block.filters, left_out * (1 - kept) * p["filters"]))
            if self.keeps_width:
                parts.append((widths.sizes, left_out * kept * widths.probabilities))
        return parts

    def _blend_widths(
        self, plain: list[tuple[Any, Array]], inverse: tuple[Any, Array], inverted: Array
    ) -> list[tuple[Any, Array]]:
        if not self.inverts:
            return plain
        if not self.plain:
            return [inverse]
        return [*((sizes, (1 - inverted) * chances) for sizes, chances in plain), (inverse[0], inverted * inverse[1])]
