"""Where the clips of a search and its batches go: the one place that puts them on devices."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import jax
import numpy as np
from jax.sharding import Mesh, NamedSharding, PartitionSpec


@dataclass(frozen=True, kw_only=True)
class Placement:
    """Every copy is explicit, so that a loop under ``jax.transfer_guard("disallow")`` may make it.

    Each is a ``jax.sharding.Sharding`` or a device; None: JAX's first device.
    """

    batch: Any = None
    """Of arrays whose first axis counts the clips of a batch."""
    whole: Any = None
    """Of arrays that every device reads at any place, as stored clips are."""

    @classmethod
    def over(cls, devices: Sequence[Any]) -> "Placement":
        """Batches spread over devices, all else on each of them: a mesh of one axis, ``data``."""
        if len(devices) == 1:
            return cls() if devices[0] == jax.devices()[0] else cls(batch=devices[0], whole=devices[0])
        mesh = Mesh(np.array(devices), ("data",))
        return cls(batch=NamedSharding(mesh, PartitionSpec("data")), whole=NamedSharding(mesh, PartitionSpec()))

    def split(self, tree: Any) -> Any:
        """Puts arrays with a row for each clip of a batch."""
        return jax.device_put(tree, self.batch)

    def copy(self, tree: Any) -> Any:
        """Puts arrays that every device reads as a whole."""
        return jax.device_put(tree, self.whole)


FIRST_DEVICE = Placement()
"""Everything on JAX's first device."""
