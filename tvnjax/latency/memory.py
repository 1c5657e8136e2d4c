"""Memory of one clip: parameters, and the largest working set of a layer.

The rule: everything is float32; a layer's working set is what it reads and what it writes, and behind the first layer
of a unit with a shortcut also the unit's input, which waits to be added. (The projection of a shortcut counts by the
same rule, as a layer behind the first.) The head counts as a layer. What a compiler fuses or reuses is not modelled.
"""

from tvnjax.graph import Head, Layer, Network

BYTES = 4
MIB = 2**20


def working_set(layer: Layer | Head) -> int:
    """Values a layer reads and writes."""
    return layer.in_shape.size + (layer.num_classes if isinstance(layer, Head) else layer.out_shape.size)


def peak_activation_bytes(network: Network) -> int:
    """The largest working set of a layer, in bytes."""
    peak = working_set(network.head)
    for unit in network.units:
        for index, layer in enumerate(unit.all_layers):
            held = unit.in_shape.size if unit.shortcut is not None and index > 0 else 0
            peak = max(peak, working_set(layer) + held)
    return BYTES * peak


def memory_mb(network: Network) -> float:
    """Parameters and peak of activations, in MiB."""
    return (BYTES * network.params + peak_activation_bytes(network)) / MIB
