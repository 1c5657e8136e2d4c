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

__version__ = "0.1.0"

__all__ = [
    "Arrays",
    "Manifest",
    "Model",
    "Run",
    "VideoFolder",
    "compare",
    "load",
    "open_run",
    "replay",
    "run",
    "zoo",
]

_PLACES = {
    "Arrays": "tvnjax.api.data",
    "Manifest": "tvnjax.api.data",
    "Model": "tvnjax.api.model",
    "Run": "tvnjax.api.run",
    "VideoFolder": "tvnjax.api.data",
    "compare": "tvnjax.api.comparing",
    "load": "tvnjax.api.load",
    "open_run": "tvnjax.api.run",
    "replay": "tvnjax.api.comparing",
    "run": "tvnjax.api.start",
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
