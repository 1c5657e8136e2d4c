"""Memory of one clip: parameters, and the most that is alive while a layer runs.

The rule: everything is float32; a layer's working set is what it reads and what it writes, and behind the first layer
of a unit with a shortcut also the unit's input, which waits to be added. (The projection of a shortcut counts by the
same rule, as a layer behind the first.) The head counts as a layer. What a compiler fuses or reuses is not modelled.

In a graph an array is alive until the last unit that reads it has begun; those that the running layer does not itself
read are added to its working set. Streams are alive from the start. Branches run one after the other: what they read is
alive until the last of them has begun, and what each gave until they meet.
"""

import functools

from tvnjax.graph import Branches, Head, Layer, Network, Unit

BYTES = 4
MIB = 2**20


@functools.singledispatch
def working_set(layer: Layer | Head) -> int:
    """Values a layer reads and writes; of one made of others, the most at a time."""
    assert isinstance(layer, Layer)
    return sum(shape.size for shape in layer.in_shapes) + layer.out_shape.size


@working_set.register
def _(head: Head) -> int:
    return head.in_shape.size + head.num_classes


@working_set.register
def _(layer: Branches) -> int:
    peak = working_set(layer.merge) if len(layer.branches) > 1 else 0
    passes_on = not all(layer.branches)
    given = 0
    for number, (branch, end) in enumerate(zip(layer.branches, layer.merge.in_shapes), 1):
        waits = passes_on or any(layer.branches[number:])
        for index, inner in enumerate(branch):
            peak = max(peak, working_set(inner) + given + layer.in_shape.size * (waits and index > 0))
        given += end.size if branch else 0
    return peak


def peak_activation_bytes(network: Network) -> int:
    """The most that is alive while a layer runs, in bytes."""
    sizes = [shape.size for shape in (*network.input_shapes, *(unit.out_shape for unit in network.units))]
    peak = working_set(network.head)
    for number, (unit, reads) in enumerate(zip(network.units, network.wiring.reads)):
        before = len(network.input_shapes) + number
        waiting = {at for at in range(before) if network.wiring.last_readers[at] > number}
        peak = max(peak, _peak(unit, sum(sizes[at] for at in waiting), sum(sizes[at] for at in waiting - {*reads})))
    return BYTES * peak


def _peak(unit: Unit, waiting: int, elsewhere: int) -> int:
    """Values alive in a unit at most.

    Args:
        unit: the unit.
        waiting: values that later units read too.
        elsewhere: those of them that the unit does not read.
    """
    peak, own = 0, unit.in_shape.size
    if unit.join is not None:
        peak = working_set(unit.join) + elsewhere
    elif waiting > elsewhere:  # its input waits anyway
        own = 0
    for index, layer in enumerate((*unit.layers, *(unit.shortcut or ()))):
        held = elsewhere if index == 0 and unit.join is None else waiting
        peak = max(peak, working_set(layer) + held + own * (unit.shortcut is not None and index > 0))
    return peak


def memory_mb(network: Network, batch: int = 1) -> float:
    """Parameters and peak of activations of a batch of clips, in MiB."""
    return (BYTES * network.params + batch * peak_activation_bytes(network)) / MIB
