"""tvnjax searches Tiny Video Networks by gradient under a measured latency budget.

The public names are imported when they are first used, so that ``import tvnjax`` itself takes no time.
"""

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from tvnjax import zoo
    from tvnjax.api.comparing import compare, replay
    from tvnjax.api.data import Arrays, Manifest, VideoFolder
    from tvnjax.api.load import load
    from tvnjax.api.model import Model
    from tvnjax.api.run import Run, open_run
    from tvnjax.api.start import run
    from tvnjax.graph import Layer, Shape
    from tvnjax.search.base import WAIT, Proposal
    from tvnjax.search.own import Strategy
    from tvnjax.spaces.chain.options import (
        avgpool,
        branches,
        conv,
        depthwise,
        identity,
        maxpool,
        squeeze_excite,
        temporal_conv,
    )
    from tvnjax.spaces.chain.space import ChainSpace

__version__ = "0.1.0"

__all__ = [
    "WAIT",
    "Arrays",
    "ChainSpace",
    "Layer",
    "Manifest",
    "Model",
    "Proposal",
    "Run",
    "Shape",
    "Strategy",
    "VideoFolder",
    "avgpool",
    "branches",
    "compare",
    "conv",
    "depthwise",
    "identity",
    "load",
    "maxpool",
    "open_run",
    "replay",
    "run",
    "squeeze_excite",
    "temporal_conv",
    "zoo",
]

_PLACES = {
    "WAIT": "tvnjax.search.base",
    "Arrays": "tvnjax.api.data",
    "ChainSpace": "tvnjax.spaces.chain.space",
    "Layer": "tvnjax.graph",
    "Manifest": "tvnjax.api.data",
    "Model": "tvnjax.api.model",
    "Proposal": "tvnjax.search.base",
    "Run": "tvnjax.api.run",
    "Shape": "tvnjax.graph",
    "Strategy": "tvnjax.search.own",
    "VideoFolder": "tvnjax.api.data",
    "avgpool": "tvnjax.spaces.chain.options",
    "branches": "tvnjax.spaces.chain.options",
    "compare": "tvnjax.api.comparing",
    "conv": "tvnjax.spaces.chain.options",
    "depthwise": "tvnjax.spaces.chain.options",
    "identity": "tvnjax.spaces.chain.options",
    "load": "tvnjax.api.load",
    "maxpool": "tvnjax.spaces.chain.options",
    "open_run": "tvnjax.api.run",
    "replay": "tvnjax.api.comparing",
    "run": "tvnjax.api.start",
    "squeeze_excite": "tvnjax.spaces.chain.options",
    "temporal_conv": "tvnjax.spaces.chain.options",
}
"""The module of each public name; ``zoo`` is one itself."""


def __getattr__(name: str) -> Any:
    if name == "zoo":
        return importlib.import_module("tvnjax.zoo")
    if name not in _PLACES:
        raise AttributeError(f"module 'tvnjax' has no attribute {name!r}")
    value = getattr(importlib.import_module(_PLACES[name]), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted([*__all__, "__version__"])
