"""Two networks that are no chains, in the manner of EvaNet and of AssembleNet, small enough to run everywhere."""

from tvnjax.graph import Branches, Conv, Fuse, Head, Layer, Merge, Network, Pool, Shape, Source, Stream, Unit


def conv(shape: Shape, width: int, kernel=(1, 1, 1), stride=(1, 1, 1), *, act=None, **options) -> Conv:
    """A SAME convolution with normalisation."""
    out = Shape(*(-(-size // by) for size, by in zip(shape, stride)), width)
    return Conv(in_shape=shape, out_shape=out, kernel=kernel, stride=stride, act=act, **options)


def module(shape: Shape, width: int, lengths: tuple[int, int]) -> Branches:
    """EvaNet's module of three branches: 1×1; 1×1 and a space-time convolution; a max pool and 1×1."""
    f, (convolved, pooled) = width // 3, lengths
    narrow = conv(shape, f // 2, act="relu")
    pool = Pool(in_shape=shape, out_shape=shape, kind="max", window=(pooled, 3, 3), stride=(1, 1, 1))
    return Branches(
        in_shape=shape,
        branches=(
            (conv(shape, f),),
            (narrow, conv(narrow.out_shape, f, (convolved, 3, 3))),
            (pool, conv(shape, f)),
        ),
    )


def evanet_like(num_classes: int = 4) -> Network:
    """A stem, a pool, and a module twice: the first time with a projection around it, then with its input. Its width,
    3·⌊32/3⌋, is not the 32 asked for."""
    clip = Shape(4, 12, 12, 3)
    stem = conv(clip, 8, (1, 3, 3), (1, 2, 2), act="relu")
    units = [unit(0, 0, (stem,))]
    pool = Pool(in_shape=stem.out_shape, out_shape=Shape(4, 3, 3, 8), kind="max", window=(3, 2, 2), stride=(1, 2, 2))
    units.append(unit(0, 1, (pool,)))
    for repeat, lengths in enumerate([(3, 3), (1, 3), (1, 3)]):
        branches = module(units[-1].out_shape, 32, lengths)
        width = branches.out_shape.c
        side: tuple[Layer, ...] = () if repeat else (conv(branches.in_shape, width),)
        units.append(unit(1, repeat, (branches,), shortcut=side, act="relu"))
    return network(clip, units, num_classes)


def assemblenet_like(num_classes: int = 4) -> Network:
    """Two streams, four nodes; the head reads the mean of two of the highest level.

    The first node reads the clip's stem alone, the second both stems, the third both stems and both of these nodes, the
    fourth the flow itself, its stem and the second node: three sizes and three widths.
    """
    clip, flow = Shape(3, 16, 16, 3), Shape(3, 16, 16, 2)
    clip_stem = unit(0, 0, (conv(clip, 6, (1, 3, 3), (1, 2, 2), act="relu"),), inputs=(Stream(0),))
    flow_stem = unit(0, 1, (conv(flow, 4, (1, 3, 3), (1, 2, 2), act="relu"),), inputs=(Stream(1),))
    shapes: dict[Source, Shape] = {Stream(1): flow, 0: clip_stem.out_shape, 1: flow_stem.out_shape}
    units = [clip_stem, flow_stem]
    nodes: list[tuple[int, tuple[Source, ...]]] = [(1, (0,)), (1, (0, 1)), (2, (0, 1, 2, 3)), (2, (Stream(1), 1, 3))]
    for level, inputs in nodes:
        shapes[len(units)] = (made := node(level, inputs, [shapes[source] for source in inputs])).out_shape
        units.append(made)
    ends = tuple(unit.out_shape for unit in units[-2:])
    units.append(unit(3, 0, (), inputs=(4, 5), join=Merge(in_shapes=ends, how="mean")))
    return network(clip, units, num_classes, further_inputs=(flow,))


def node(level: int, inputs: tuple[Source, ...], shapes: list[Shape], width: int = 8) -> Unit:
    """A residual block of stride 2 behind what it reads."""
    join = Fuse(in_shapes=tuple(shapes)) if len(shapes) > 1 else None
    shape = join.out_shape if join else shapes[0]
    first = conv(shape, width, (3, 1, 1), act="relu")
    second = conv(first.out_shape, 2 * width, (1, 3, 3), (1, 2, 2))
    side = conv(shape, 2 * width, stride=(1, 2, 2))
    return unit(level, 0, (first, second), shortcut=(side,), act="relu", inputs=inputs, join=join)


def unit(block: int, repeat: int, layers: tuple[Layer, ...], **options) -> Unit:
    """A unit whose shapes are those of its layers, or of its join where it has none."""
    join = options.get("join")
    start = join.out_shape if join else layers[0].in_shape
    end = layers[-1].out_shape if layers else start
    return Unit(block=block, repeat=repeat, in_shape=start, out_shape=end, layers=layers, **options)


def network(clip: Shape, units: list[Unit], num_classes: int = 4, **options) -> Network:
    head = Head(in_shape=units[-1].out_shape if units else clip, num_classes=num_classes)
    return Network(input_shape=clip, frame_stride=1, units=tuple(units), head=head, **options)
