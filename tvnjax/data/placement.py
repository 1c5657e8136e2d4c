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
        """Batches spread over devices, all else on each of them: a mesh of one axis, ``data``. Devices of other
        processes may be among them; then each process puts its own parts of the same arrays."""
        if len(devices) == 1:
            return cls() if devices[0] == jax.local_devices()[0] else cls(batch=devices[0], whole=devices[0])
        mesh = Mesh(np.array(devices), ("data",))
        return cls(batch=NamedSharding(mesh, PartitionSpec("data")), whole=NamedSharding(mesh, PartitionSpec()))

    @property
    def spans_processes(self) -> bool:
        """Whether other processes have a part."""
        return isinstance(self.whole, NamedSharding) and not self.whole.is_fully_addressable

    def split(self, tree: Any) -> Any:
        """Puts arrays with a row for each clip of a batch."""
        return self._put(tree, self.batch)

    def copy(self, tree: Any) -> Any:
        """Puts arrays that every device reads as a whole."""
        return self._put(tree, self.whole)

    def _put(self, tree: Any, place: Any) -> Any:
        if not self.spans_processes:
            return jax.device_put(tree, place)
        return jax.tree.map(lambda array: _own_parts(array, place), tree)


def _own_parts(array: Any, place: NamedSharding) -> jax.Array:
    """An array that every process has, on the devices of all: each process puts its own parts, and asks no other."""
    if isinstance(array, jax.Array):
        if array.sharding == place:
            return array
        array = jax.device_get(array)
    array = np.asarray(array)
    parts = place.addressable_devices_indices_map(array.shape)
    put = [jax.device_put(array[index], device) for device, index in parts.items()]
    return jax.make_array_from_single_device_arrays(array.shape, place, put)


FIRST_DEVICE = Placement()
"""Everything on JAX's first device."""
