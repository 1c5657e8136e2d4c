"""The sizes of two published networks that are no chains, written with the graph's own words: AssembleNet-50 with its
eleven fused blocks over four stems, and EvaNet's first released network.

What the graph does not have, dilation in time and EvaNet's mixtures of distributions as kernels, changes no shape here;
``itgm_params`` says what the latter changes in the parameters.
"""

from tests.graph.example_networks import conv, network, unit
from tvnjax.graph import Branches, Conv, Fuse, Layer, Network, Pool, Shape, Source, Stream, Unit

ASN50 = {
    4: (0, (1,), 32),
    5: (0, (0,), 32),
    6: (0, (0, 1, 2, 3), 32),
    7: (0, (2, 3), 32),
    8: (1, (0, 4, 5, 6, 7), 64),
    9: (1, (0, 2, 4, 7), 64),
    10: (1, (0, 5, 7), 64),
    11: (1, (0, 5), 64),
    12: (2, (4, 8, 10, 11), 256),
    13: (2, (8, 9), 256),
    14: (3, (12, 13), 512),
}
"""Level, inputs and filters of every node; 0 and 1 are stems of pixels, 2 and 3 of flow."""


def assemblenet_50(num_classes: int, frames: int, side: int) -> Network:
    units: list[Unit] = []
    ends: list[int] = []  # of every node, the unit that gives it
    clip, flow = Shape(frames, side, side, 3), Shape(frames, side, side, 2)
    for stream in (0, 0, 1, 1):
        shape = flow if stream else clip
        layers: list[Layer] = [conv(shape, 32, (1, 7, 7), (1, 2, 2), act="relu")]
        if not stream:
            layers.append(conv(layers[-1].out_shape, 32, (5, 1, 1), act="relu"))
        layers.append(pool(layers[-1].out_shape, (1, 2, 2) if stream else (1, 3, 3), (1, 2, 2)))
        units.append(unit(0, len(units), tuple(layers), inputs=(Stream(stream),)))
        ends.append(len(units) - 1)
    for level, inputs, filters in ASN50.values():
        sources: tuple[Source, ...] = tuple(ends[node] for node in inputs)
        shapes = tuple(units[ends[node]].out_shape for node in inputs)
        join = Fuse(in_shapes=shapes) if len(shapes) > 1 else None
        shape = join.out_shape if join else shapes[0]
        for index in range((3, 4, 6, 3)[level]):
            stride = (1, 2, 2) if level and not index else (1, 1, 1)
            first = conv(shape, filters, (3, 1, 1) if index % 2 else (1, 1, 1), act="relu")
            second = conv(first.out_shape, 64 * 2**level, (1, 3, 3), stride, act="relu")
            third = conv(second.out_shape, 4 * filters)
            side_layers = () if index else (conv(shape, 4 * filters, stride=stride),)
            options = {} if index else {"inputs": sources, "join": join}
            units.append(unit(1 + level, index, (first, second, third), shortcut=side_layers, act="relu", **options))
            shape = third.out_shape
        ends.append(len(units) - 1)
    return network(clip, units, num_classes, further_inputs=(flow,))


EVANET_A = (
    (256, 2, ("conv 1", "maxpool 7")),
    (512, 4, ("maxpool 3", "1x1", "conv 1", "1x1", "conv 5")),
    (1024, 5, ("maxpool 7", "1x1", "itgm 11", "maxpool 11")),
    (2048, 3, ("maxpool 11", "conv 1", "itgm 3")),
)
"""Width, repeats and branches of every module; the lengths over time of ``conv`` are 1 in every second repeat."""

POOLS = ((1, 3, 3), (1, 2, 2), (1, 2, 2), (9, 2, 2))


def evanet_a(num_classes: int, frames: int, side: int) -> Network:
    clip = Shape(frames, side, side, 3)
    over_time = conv(clip, 32, (3, 1, 1), (2, 1, 1), act="relu")
    units = [unit(0, 0, (over_time, conv(over_time.out_shape, 64, (1, 7, 7), (1, 2, 2), act="relu")))]
    for number, ((width, repeats, branches), window) in enumerate(zip(EVANET_A, POOLS)):
        stride = (1, 2, 2) if number else (2, 2, 2)
        units.append(unit(number, 0, (pool(units[-1].out_shape, window, stride),)))
        for repeat in range(repeats):
            shape, filters = units[-1].out_shape, width // len(branches)
            chains = tuple(branch(name, shape, filters, repeat % 2 == 1) for name in branches)
            side_layers = () if repeat else (conv(shape, filters * len(branches)),)
            layer = Branches(in_shape=shape, branches=chains)
            units.append(unit(1 + number, 1 + repeat, (layer,), shortcut=side_layers, act="relu"))
    return network(clip, units, num_classes)


def branch(name: str, shape: Shape, filters: int, odd: bool) -> tuple[Layer, ...]:
    kind, _, length = name.partition(" ")
    if kind == "1x1":
        return (conv(shape, filters),)
    if kind == "maxpool":
        return (pool(shape, (int(length), 3, 3), (1, 1, 1)), conv(shape, filters))
    narrow = conv(shape, filters // 2, act="relu")
    return (narrow, conv(narrow.out_shape, filters, (1 if odd else int(length), 3, 3)))


def itgm_params(mixtures: int = 4) -> int:
    """How many parameters more EvaNet's kernels have than dense ones: 9·i·o of space, a mixture for each pair of
    channels, and two numbers a distribution, whatever the length over time; where that is 1, those of space alone."""
    more = 0
    for width, repeats, branches in EVANET_A:
        filters = width // len(branches)
        pairs = filters // 2 * filters
        for name in branches:
            if name.startswith("itgm"):
                dense = 9 * pairs * int(name.split()[1])
                more += (repeats + 1) // 2 * (9 * pairs + mixtures * pairs + 2 * mixtures - dense)
    return more


def pool(shape: Shape, window, stride) -> Pool:
    out = Shape(*(-(-size // by) for size, by in zip(shape, stride)), shape.c)
    return Pool(in_shape=shape, out_shape=out, kind="max", window=window, stride=stride)


__all__ = ["Conv", "assemblenet_50", "evanet_a", "itgm_params"]
