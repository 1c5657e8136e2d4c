"""Random spaces with every gene free, networks drawn from them, and a cost no two layers share."""

import itertools
import zlib

import numpy as np

from tests.own_layers import Blur, Every, Shift, Shuffled
from tvnjax.core.errors import InvalidInputError
from tvnjax.spaces.tvn.costs.contexts import candidates
from tvnjax.spaces.tvn.costs.expected import ExpectedCost
from tvnjax.spaces.tvn.costs.factored.expected import FactoredCost
from tvnjax.spaces.tvn.relaxed import GENES, OperatorChoices, relax_plan
from tvnjax.spaces.tvn.shapes import BlockShapes, ShapeChoices, ShapeSpace

CLASSES = 5
OWN_SPATIAL = (Shuffled(groups=2), Blur)


def layer_cost(layer) -> float:
    """A cost of no structure at all: any two layers that differ in anything cost differently."""
    return zlib.crc32(repr(layer).encode()) % 1000 / 100


def random_space(rng, own=False):
    """Up to three blocks; strides past the side, single frames among several, frame strides too long for some.

    Args:
        own: with operators of one's own among the candidates of both axes.
    """

    def some(values):
        count = int(rng.integers(1, len(values) + 1))
        return tuple(values[i] for i in sorted(rng.choice(len(values), count, replace=False)))

    length = int(rng.integers(1, 4))
    shapes = ShapeChoices(
        image_size=some((3, 5, 6, 9)),
        num_frames=some((1, 2, 4)),
        frame_stride=some((1, 2, 3)),
        num_blocks=tuple(sorted({length, int(rng.integers(1, length + 1))})),
        blocks=tuple(
            BlockShapes(
                spatial_stride=some((1, 2, 3)),
                temporal_stride=some((1, 2)),
                repeats=some((1, 2, 3)),
                filters=some((8, 12, 16)),
            )
            for _ in range(length)
        ),
    )
    operators = OperatorChoices(
        spatial_type=some(("std", "depth", "1std", "maxpool", "avgpool")) + (OWN_SPATIAL if own else ()),
        spatial_kernel=(*some((1, 3)), 2),
        temporal_type=some(("1d", "maxpool", "avgpool")) + ((Shift, Every) if own else ()),
        temporal_kernel=(*some((1, 2)), 3),
        width=some((0.25, 0.5, 1.0)),
        expand=some((0, 1, 2)),
        squeeze=some((0.0, 0.25, 0.5)),
        context_gate=some((False, True)),
        skip=some((False, True)),
        non_local=(0, *some((4, 8))),
        non_local_tokens=60,
        spatial_act=some(("relu", "hswish")),
        temporal_act=some(("relu", "hswish")),
        act=some(("relu", "hswish")),
        inverted_bottleneck=some((False, True)),
    )
    try:
        return ShapeSpace(shapes, clip_frames=7), operators
    except InvalidInputError:  # a stride that no plan of these sizes can have
        return random_space(rng, own)


def softmax(logits):
    p = np.exp(logits - logits.max())
    return p / p.sum()


def random_probabilities(expected: ExpectedCost | FactoredCost, rng, sharpness=1.0):
    """Of every operator gene of every block, and of every shape gene."""

    def draw(count):
        return softmax(sharpness * rng.standard_normal(count))

    sizes = {gene: len(candidates(expected.operators).candidates(gene)) for gene in GENES}
    operators = tuple({gene: draw(count) for gene, count in sizes.items()} for _ in expected.shapes.choices.blocks)
    return operators, {key: draw(len(expected.shapes.values(key))) for key in expected.shapes.keys}


def draw_network(expected: ExpectedCost | FactoredCost, probabilities, rng):
    """A plan, the indices of every block's candidates, and the network, drawn as the expectation is defined."""
    operators, shapes = probabilities
    plan = expected.shapes.sample(shapes, rng)
    relaxed = relax_plan(plan, expected.operators)
    chosen = []
    for block, p in zip(relaxed.blocks, operators):
        legal = {gene: p[gene] * block.legal(gene) for gene in GENES}
        chosen.append({gene: int(np.searchsorted(np.cumsum(q), rng.random() * q.sum())) for gene, q in legal.items()})
    return plan, tuple(chosen), relaxed.decode(tuple(chosen))


def every_network(relaxed):
    """All networks of a relaxed plan, inactive choices at their defaults."""
    options = [
        [np.flatnonzero(block.legal(gene)) if gene in block.active else [block.default(gene)] for gene in GENES]
        for block in relaxed.blocks
    ]
    for path in itertools.product(*(itertools.product(*block) for block in options)):
        yield relaxed.decode(tuple(dict(zip(GENES, map(int, chosen))) for chosen in path))


def one_hot(expected: ExpectedCost | FactoredCost, plan, chosen):
    """Probabilities that allow this network alone."""
    padded = (*chosen, *[chosen[-1]] * (len(expected.shapes.choices.blocks) - len(chosen)))
    sizes = {gene: len(candidates(expected.operators).candidates(gene)) for gene in GENES}
    operators = tuple({gene: np.eye(sizes[gene])[index] for gene, index in block.items()} for block in padded)
    masks = expected.shapes.equivalent(plan)
    return operators, {key: np.eye(len(mask))[int(mask.argmax())] for key, mask in masks.items()}
