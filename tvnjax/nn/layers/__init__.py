"""The module of every primitive layer, one file each."""

from tvnjax.nn.layers.branches import Branches
from tvnjax.nn.layers.context_gate import ContextGate
from tvnjax.nn.layers.conv import ConvNorm
from tvnjax.nn.layers.fuse import Fuse
from tvnjax.nn.layers.merge import Merge
from tvnjax.nn.layers.non_local import NonLocal
from tvnjax.nn.layers.pool import Pool
from tvnjax.nn.layers.registry import OwnModule, build_layer
from tvnjax.nn.layers.scale import Scale
from tvnjax.nn.layers.squeeze_excite import SqueezeExcite

__all__ = [
    "Branches",
    "ContextGate",
    "ConvNorm",
    "Fuse",
    "Merge",
    "NonLocal",
    "OwnModule",
    "Pool",
    "Scale",
    "SqueezeExcite",
    "build_layer",
]
