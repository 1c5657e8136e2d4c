"""Graphs drawn at random: several streams, joins of every kind, branches and shortcuts; every array has a reader."""

import numpy as np

from tests.graph.example_networks import conv, network, unit
from tests.graph.published import pool
from tvnjax.core.errors import InvalidInputError
from tvnjax.graph import Branches, Fuse, Join, Layer, Merge, Network, Scale, Shape, Source, Stream, Unit

WIDTHS = (2, 4)


def draw_graph(rng: np.random.Generator) -> Network:
    """One or two streams of 8×4 pixels, three to six units, and one that fuses whatever nobody has read yet."""
    streams = [Shape(2, 8, 4, 3), Shape(2, 8, 4, 2)][: rng.integers(1, 3)]
    given: dict[Source, Shape] = {Stream(index): shape for index, shape in enumerate(streams)}
    units: list[Unit] = []
    unread = set(given)
    for number in range(rng.integers(3, 7)):
        count = min(int(rng.integers(1, 4)), len(given))
        sources = tuple(list(given)[index] for index in sorted(rng.choice(len(given), count, replace=False)))
        units.append(draw_unit(number, sources, [given[source] for source in sources], rng))
        unread = (unread - set(units[-1].inputs)) | {number}
        given[number] = units[-1].out_shape
    last = tuple(source for source in given if source in unread)
    fuse = Fuse(in_shapes=tuple(given[source] for source in last))
    units.append(unit(1, 0, (), inputs=last, join=fuse, act="relu"))
    return network(streams[0], units, 3, further_inputs=tuple(streams[1:]))


def draw_unit(number: int, sources: tuple[Source, ...], shapes: list[Shape], rng: np.random.Generator) -> Unit:
    join = draw_join(shapes, rng)
    if join is None:
        sources, shapes = sources[:1], shapes[:1]
    start = shape = shapes[0] if join is None else join.out_shape
    layers: list[Layer] = []
    for _ in range(rng.integers(0 if join else 1, 3)):
        layers.append(draw_layer(shape, rng, (2, 1)[rng.integers(2)]))
        shape = layers[-1].out_shape
    shortcut = None
    if layers and rng.random() < 0.5:
        stride = tuple(-(-a // b) for a, b in zip(start[:3], shape[:3]))
        shortcut = () if shape == start else (conv(start, shape.c, stride=stride),)
    act = [None, "relu"][rng.integers(2)]
    return unit(0, number, tuple(layers), inputs=sources, join=join, shortcut=shortcut, act=act)


def draw_join(shapes: list[Shape], rng: np.random.Generator) -> Join | None:
    if len(shapes) == 1:
        return None if rng.random() < 0.8 else Fuse(in_shapes=tuple(shapes))
    how = rng.choice(["sum", "mean", "concat", "fuse", "fuse"])
    try:
        return Merge(in_shapes=tuple(shapes), how=str(how))  # type: ignore[arg-type]
    except InvalidInputError:
        return Fuse(in_shapes=tuple(shapes))


def draw_layer(shape: Shape, rng: np.random.Generator, stride: int, *, flat: bool = False) -> Layer:
    """``flat``: neither branches nor strides."""
    width = int(rng.choice(WIDTHS))
    kind = rng.integers(4 if flat else 6)
    strides = (1, 1, 1) if flat else (1, stride, stride)
    if kind == 0:
        return conv(shape, width, act="relu")
    if kind == 1:
        return conv(shape, width, (1, 3, 3), strides)
    if kind == 2:
        return conv(shape, width, (3, 1, 1))
    if kind == 3:
        return pool(shape, (1, 3, 3), strides)
    if kind == 4:
        return Scale(in_shape=shape)
    chains = [(), *((draw_layer(shape, rng, 1, flat=True),) for _ in range(2))][rng.integers(2) :]
    try:
        return Branches(in_shape=shape, branches=tuple(chains), how=str(rng.choice(["sum", "concat"])))  # type: ignore[arg-type]
    except InvalidInputError:
        return Branches(in_shape=shape, branches=tuple(chains))
