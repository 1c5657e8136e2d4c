"""Networks of primitive layers with every shape known: what every genotype and every zoo network is lowered to."""

from tvnjax.graph.head import Head, HeadKind, HeadPool
from tvnjax.graph.join import Join
from tvnjax.graph.layer import COUNTING_RULE, FAMILY_COLOURS, CostFeatures, Layer, Sign, Words, missing_facet
from tvnjax.graph.layers.branches import Branches
from tvnjax.graph.layers.context_gate import ContextGate
from tvnjax.graph.layers.conv import BN_EPSILON, Conv
from tvnjax.graph.layers.fuse import Fuse
from tvnjax.graph.layers.merge import MERGING_WORDS, Merge, Merging
from tvnjax.graph.layers.non_local import NonLocal
from tvnjax.graph.layers.pool import Pool
from tvnjax.graph.layers.scale import Scale
from tvnjax.graph.layers.squeeze_excite import SqueezeExcite
from tvnjax.graph.network import Network, input_names, require_one_stream
from tvnjax.graph.shape import Shape, Triple
from tvnjax.graph.unit import Source, Stream, Unit

__all__ = [
    "BN_EPSILON",
    "COUNTING_RULE",
    "FAMILY_COLOURS",
    "MERGING_WORDS",
    "Branches",
    "ContextGate",
    "Conv",
    "CostFeatures",
    "Fuse",
    "Head",
    "HeadKind",
    "HeadPool",
    "Join",
    "Layer",
    "Merge",
    "Merging",
    "Network",
    "NonLocal",
    "Pool",
    "Scale",
    "Shape",
    "Sign",
    "Source",
    "SqueezeExcite",
    "Stream",
    "Triple",
    "Unit",
    "Words",
    "input_names",
    "missing_facet",
    "require_one_stream",
]
