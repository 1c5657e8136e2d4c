"""The module of every primitive layer, one file each."""

from tvnjax.nn.layers.context_gate import ContextGate
from tvnjax.nn.layers.conv import ConvNorm
from tvnjax.nn.layers.non_local import NonLocal
from tvnjax.nn.layers.pool import Pool
from tvnjax.nn.layers.registry import OwnModule, build_layer
from tvnjax.nn.layers.scale import Scale
from tvnjax.nn.layers.squeeze_excite import SqueezeExcite

__all__ = ["ContextGate", "ConvNorm", "NonLocal", "OwnModule", "Pool", "Scale", "SqueezeExcite", "build_layer"]
