"""The supernet of a chain: every option of every position in one program, their outputs weighed and added."""

from collections.abc import Sequence
from typing import Any

import jax.numpy as jnp
from flax import nnx
from jax import Array

from tvnjax import graph
from tvnjax.core.variables import ArchParam
from tvnjax.graph import HeadKind, Shape
from tvnjax.nn.child import Child, HeadModule
from tvnjax.nn.convolution import Form, default_form
from tvnjax.nn.layers import build_layer
from tvnjax.nn.parts import BN_MOMENTUM, Initializer, times
from tvnjax.nn.rematerialised import rematerialised
from tvnjax.spaces.chain.options import Option
from tvnjax.spaces.chain.space import GENE, ChainGenotype, ChainSpace
from tvnjax.trainers.gene_weights import GeneWeights


class ChainSupernet(nnx.Module):
    """All networks of a chain. With one-hot weights it is that network.

    Narrower outputs are filled with zeros up to the widest of a position. A dense convolution reads those as well: its
    kernel for a narrower input is the leading part. Other layers would tell zeros from nothing, so that each has a
    module for every width that may come in, weighed with that width's probability.

    Args:
        space: the options.
        num_classes: width of the result.
        seed: of the initial weights.
        channels: of the clip.
        head: see ``graph.Head``.
        form: which form layers take; ``None`` picks the fast one of the default device.
    """

    def __init__(
        self,
        space: ChainSpace,
        num_classes: int,
        seed: int | None = 0,
        *,
        channels: int = 3,
        head: HeadKind = "mean",
        form: Form | None = None,
    ):
        init, form = Initializer(seed), form or default_form()
        positions, widths = [], (channels,)
        for number, options in enumerate(space.options):
            positions.append(Position(options, widths, space.shape_before(number, 1), init, form))
            widths = positions[-1].widths
        self.positions = nnx.List(positions)
        self.head_kind: HeadKind = head
        self.channels = channels
        end = space.shape_before(len(space.options), widths[-1])
        self.head = HeadModule(graph.Head(in_shape=end, num_classes=num_classes, pool=head), init)
        self.alphas = nnx.List(
            [
                nnx.Dict({GENE: ArchParam(jnp.zeros(len(options)))} if len(options) > 1 else {})
                for options in space.options
            ]
        )

    def __call__(
        self,
        clip: Array,
        weights: GeneWeights,
        *,
        train: bool = False,
        momentum: float | Array = BN_MOMENTUM,
        dropout_key: Array | None = None,
        sampled: bool = False,
        remat: bool = False,
    ) -> Array:
        """Class scores ``[B, classes]`` of normalised clips ``[B, T, H, W, C]``.

        Args:
            weights: for every position ``{"layer": [options]}``.
            train: batch statistics, and the running ones move.
            momentum: of the running statistics.
            dropout_key: no key, no dropout.
            sampled: accepted for weights that are mostly 0; every option runs nevertheless.
            remat: a gradient keeps what goes in and out of the positions, and computes the rest again.
        """
        x, p = clip, jnp.ones(1)
        for position, choice in zip(self.positions, weights):

            def call(position: Any, x: Array, p: Array, weights: Array) -> tuple[Array, Array]:
                return position(x, p, weights, train=train, momentum=momentum)

            arrays = (x, p, choice[GENE])
            x, p = rematerialised(position, call, *arrays) if remat else call(position, *arrays)
        return self.head(x, dropout_key=dropout_key)

    def of_lengths(self, clip: Array, weights: GeneWeights, lengths: Sequence[int], **options: Any) -> list[Array]:
        """The scores, for a chain has one length."""
        return [self(clip, weights, **options) for _ in lengths]


class Position(nnx.Module):
    """The options of one position, for every width that may come in."""

    def __init__(self, options: Sequence[Option], widths: Sequence[int], before: Shape, init: Initializer, form: Form):
        self.taken = tuple(widths)
        self.paths = nnx.List([Path(option, self.taken, before, init, form) for option in options])
        given = {width for path in self.paths for width in path.gives}
        self.widths = tuple(sorted(given))

    def __call__(
        self, x: Array, p: Array, weights: Array, *, train: bool, momentum: float | Array
    ) -> tuple[Array, Array]:
        """What comes in, ``[B, T, H, W, widest]``, with the probabilities of ``taken``; what comes out likewise."""
        total: Any = 0.0
        behind = jnp.zeros(len(self.widths))
        for index, path in enumerate(self.paths):
            weight = weights[index]
            y = path(x, p, self.widths[-1], train=train, momentum=momentum)
            total = total + times(weight, y)
            at = jnp.asarray([self.widths.index(width) for width in path.gives])
            behind = behind.at[at].add(weight * p)
        return total, behind


class Path(nnx.Module):
    """One option, for every width that may come in.

    Attributes:
        gives: the width that goes out for each that comes in.
    """

    def __init__(self, option: Option, widths: tuple[int, ...], before: Shape, init: Initializer, form: Form):
        layers = [option.layers(before._replace(c=width)) for width in widths]
        self.gives = tuple(
            chain[-1].out_shape.c if chain else width for chain, width in zip(layers, widths, strict=True)
        )
        self.taken = widths
        self.nothing = not layers[0]
        self.shared = _is_dense(layers)
        kept = layers[-1:] if self.shared else layers
        self.chains = nnx.List([nnx.List([build_layer(layer, init, form) for layer in chain]) for chain in kept])

    def __call__(self, x: Array, p: Array, widest: int, *, train: bool, momentum: float | Array) -> Array:
        if self.nothing:
            return _padded(x, widest)
        if self.shared:
            return _padded(_run(self.chains[0], x, train=train, momentum=momentum), widest)
        total: Any = 0.0
        for index, (width, chain) in enumerate(zip(self.taken, self.chains)):
            y = _padded(_run(chain, x[..., :width], train=train, momentum=momentum), widest)
            total = total + (y if len(self.taken) == 1 else times(p[index], y))
        return total


def _is_dense(layers: Sequence[Sequence[graph.Layer]]) -> bool:
    """Whether one chain of modules, made for the widest input, serves every width: it begins with a convolution over
    all channels, or is a pool."""
    (first, *rest) = layers[-1] or (None,)
    return (type(first) is graph.Conv and first.groups == 1) or (type(first) is graph.Pool and not rest)


def _run(chain: Sequence[Any], x: Array, **options: Any) -> Array:
    for module in chain:
        x = module(x, **options)
    return x


def _padded(x: Array, width: int) -> Array:
    """Zeros behind the last channel."""
    missing = width - x.shape[-1]
    return x if missing == 0 else jnp.pad(x, [(0, 0)] * (x.ndim - 1) + [(0, missing)])


def subnet(supernet: ChainSupernet, genotype: ChainGenotype, *, form: Form | None = None) -> Child:
    """The network of a genotype with weights and running statistics taken out of the supernet."""
    num_classes = supernet.head.dense.kernel.shape[-1]
    child = Child(genotype.lower(num_classes, channels=supernet.channels, head=supernet.head_kind), form=form)
    units = iter(child.units)
    width = supernet.channels
    for position, index in zip(supernet.positions, genotype.chosen):
        path = position.paths[index]
        at = path.taken.index(width)
        width = path.gives[at]
        if not path.nothing:
            for target, source in zip(next(units).layers, path.chains[0 if path.shared else at]):
                _copy_leading(target, source)
    _copy_leading(child.head, supernet.head)
    return child


def _copy_leading(target: nnx.Module, source: nnx.Module) -> None:
    """Copies every array from the leading corner of the same-named one."""
    sources = dict(nnx.to_flat_state(nnx.state(source)))
    for path, variable in nnx.to_flat_state(nnx.state(target)):
        variable[...] = sources[path][...][tuple(slice(size) for size in variable.shape)]
