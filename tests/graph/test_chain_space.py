"""Branches are an option of a chain like any other layer: shared weights, expected costs and ids hold them whole."""

import jax.numpy as jnp
import numpy as np
import pytest

from tests.graph.example_networks import conv
from tvnjax.core.errors import InvalidInputError
from tvnjax.graph import Branches, Layer, Merge, Shape
from tvnjax.latency.memory import memory_mb
from tvnjax.spaces.chain.options import Option, identity, temporal_conv
from tvnjax.spaces.chain.relaxation.expected import ChainCost, ChainMemory
from tvnjax.spaces.chain.relaxation.supernet import ChainSupernet, subnet
from tvnjax.spaces.chain.space import GENE, ChainSpace

CLIP = Shape(2, 8, 8, 3)


def module(shape: Shape) -> tuple[Layer, ...]:
    return (Branches(in_shape=shape, branches=((conv(shape, 4),), (conv(shape, 2, (1, 3, 3)),))),)


def test_a_chain_chooses_between_branches_and_layers():
    first = Branches(in_shape=CLIP, branches=((conv(CLIP, 4),), ()))
    plain = Option("plain", lambda shape: (conv(shape, 6),))
    space = ChainSpace(
        frames=2, size=8, positions=[[first, plain], [Option("module", module), temporal_conv(5), identity()]]
    )
    supernet = ChainSupernet(space, 3, form="plain")
    memory = ChainMemory(space, 3)
    params = ChainCost(space, 3, lambda layer: float(layer.params))
    clips = np.random.default_rng(0).standard_normal((2, *CLIP)).astype(np.float32)
    ids = set()
    for one in range(2):
        for other in range(3):
            genotype = space.genotype([one, other])
            network = genotype.lower(3)
            weights = [{GENE: jnp.eye(2)[one]}, {GENE: jnp.eye(3)[other]}]
            child = subnet(supernet, genotype, form="plain")
            np.testing.assert_allclose(child(clips), supernet(clips, weights), atol=1e-5)
            assert float(memory(weights)) == pytest.approx(memory_mb(network))
            assert float(params(weights)) == network.params
            ids.add(genotype.id)
    assert len(ids) == 6


def test_what_does_not_stand_in_a_chain_is_refused():
    with pytest.raises(InvalidInputError, match="Branches stand where the layers inside fit"):
        ChainSpace(frames=4, size=8, positions=[[Branches(in_shape=CLIP, branches=((),))]])
    with pytest.raises(InvalidInputError, match="a layer of a chain takes one array; Merge joins 2"):
        ChainSpace(frames=2, size=8, positions=[[Merge(in_shapes=(CLIP, CLIP), how="sum")]])
