"""Networks of primitive layers with every shape known: what every genotype and every zoo network is lowered to."""

from tvnjax.graph.head import Head, HeadKind, HeadPool
from tvnjax.graph.layer import COUNTING_RULE, FAMILY_COLOURS, CostFeatures, Layer, Sign, Words, missing_facet
from tvnjax.graph.layers.context_gate import ContextGate
from tvnjax.graph.layers.conv import BN_EPSILON, Conv
from tvnjax.graph.layers.non_local import NonLocal
from tvnjax.graph.layers.pool import Pool
from tvnjax.graph.layers.scale import Scale
from tvnjax.graph.layers.squeeze_excite import SqueezeExcite
from tvnjax.graph.network import Network
from tvnjax.graph.shape import Shape, Triple
from tvnjax.graph.unit import Unit

__all__ = [
    "BN_EPSILON",
    "COUNTING_RULE",
    "FAMILY_COLOURS",
    "ContextGate",
    "Conv",
    "CostFeatures",
    "Head",
    "HeadKind",
    "HeadPool",
    "Layer",
    "Network",
    "NonLocal",
    "Pool",
    "Scale",
    "Shape",
    "Sign",
    "SqueezeExcite",
    "Triple",
    "Unit",
    "Words",
    "missing_facet",
]
