"""Where the clips of a search and its batches go: the one place that puts them on devices."""

from dataclasses import dataclass
from typing import Any

import jax


@dataclass(frozen=True, kw_only=True)
class Placement:
    """Every copy is explicit, so that a loop under ``jax.transfer_guard("disallow")`` may make it.

    Each is a ``jax.sharding.Sharding`` or a device; None: JAX's first device.
    """

    batch: Any = None
    """Of arrays whose first axis counts the clips of a batch."""
    whole: Any = None
    """Of arrays that every device reads at any place, as stored clips are."""

    def split(self, array: Any) -> jax.Array:
        """Puts an array with a row for each clip of a batch."""
        return jax.device_put(array, self.batch)

    def copy(self, array: Any) -> jax.Array:
        """Puts an array that every device reads as a whole."""
        return jax.device_put(array, self.whole)


FIRST_DEVICE = Placement()
"""Everything on JAX's first device."""
