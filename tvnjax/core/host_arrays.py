"""Arrays that the devices of several processes have together."""

import contextlib
import os
from collections.abc import Iterator
from typing import Any

import jax
import numpy as np
from jax.experimental.multihost_utils import broadcast_one_to_all
from jax.sharding import NamedSharding, PartitionSpec


def introduce(whole: NamedSharding) -> None:
    """Lets processes connect their devices, before their first sum would: Gloo, which a CPU has for that, prints a line
    on standard output, which is for results.

    Args:
        whole: a sharding over the devices, each having all.
    """
    mesh = whole.mesh
    split = NamedSharding(mesh, PartitionSpec(mesh.axis_names[0]))
    ones = [jax.device_put(np.ones(1, np.float32), device) for device in split.addressable_devices]
    rows = jax.make_array_from_single_device_arrays((mesh.size,), split, ones)
    with _without_output():
        jax.block_until_ready(jax.jit(lambda row: row.sum(), out_shardings=whole)(rows))


@contextlib.contextmanager
def _without_output() -> Iterator[None]:
    """Lets nothing through that code in other languages writes on standard output."""
    try:
        kept = os.dup(1)
    except OSError:  # there is none
        yield
        return
    try:
        with open(os.devnull, "rb+", buffering=0) as nowhere:
            os.dup2(nowhere.fileno(), 1)
        yield
    finally:
        os.dup2(kept, 1)
        os.close(kept)


def arrays_of_process_0(tree: Any) -> Any:
    """A tree of the host's arrays as process 0 has it, to the bit; all processes have its shapes."""
    leaves, structure = jax.tree.flatten(tree)
    arrays = [np.asarray(leaf) for leaf in leaves]
    # As bytes: the others' zeros are added to what is sent, and -0.0 + 0.0 is 0.0.
    sent = broadcast_one_to_all([np.frombuffer(array.tobytes(), np.uint8) for array in arrays])
    found = [
        np.frombuffer(np.asarray(one).tobytes(), array.dtype).reshape(array.shape) for one, array in zip(sent, arrays)
    ]
    return jax.tree.unflatten(structure, found)
