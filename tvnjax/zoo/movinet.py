"""MoViNet base networks: searched inverted bottlenecks with depthwise convolutions over space and time.

Source: the published definition beside the tables in ``movinet_specs``: swish; squeeze-excite with a ratio of 1/4 and a
swish in the middle; the unit's last value times a trained scalar that starts at 0; an average pool of 3x3 before the
projection of a shortcut that strides; batch normalisation's epsilon 1e-3; a hidden layer of 2048 in the head.
"""

from tvnjax.graph import Head, Layer, Network, Pool, Scale, Shape, SqueezeExcite
from tvnjax.spaces.tvn.lowering import strided
from tvnjax.zoo.builder import Chain, conv, make_divisible
from tvnjax.zoo.movinet_specs import STRIDES, MovinetSpec

EPSILON = 1e-3
SQUEEZE_RATIO = 0.25
HEAD_WIDTH = 2048


def movinet(spec: MovinetSpec, *, num_frames: int, image_size: int, num_classes: int, frame_stride: int = 5) -> Network:
    """Lowers a MoViNet."""
    chain = Chain(num_frames, image_size)
    chain.add([conv(chain.shape, spec.stem, (1, 3, 3), (1, 2, 2), act="swish", epsilon=EPSILON)])
    for (width, units), block_stride in zip(spec.blocks, STRIDES):
        for repeat, (expanded, (frames, pixels)) in enumerate(units):
            stride = 1 if repeat else block_stride
            shape = chain.shape
            wide = conv(shape, expanded, act="swish", epsilon=EPSILON)
            deep = conv(
                wide.out_shape,
                expanded,
                (frames, pixels, pixels),
                (1, stride, stride),
                act="swish",
                depthwise=True,
                epsilon=EPSILON,
            )
            hidden = make_divisible(SQUEEZE_RATIO * expanded)
            project = conv(deep.out_shape, width, epsilon=EPSILON)
            layers = [
                wide,
                deep,
                SqueezeExcite(in_shape=deep.out_shape, hidden=hidden, hidden_act="swish"),
                project,
                Scale(in_shape=project.out_shape),
            ]
            chain.add(layers, shortcut=_shortcut(shape, width, stride), new_block=not repeat)
    chain.add([conv(chain.shape, spec.project, act="swish", epsilon=EPSILON)], new_block=True)
    head = Head(in_shape=chain.shape, num_classes=num_classes, hidden=HEAD_WIDTH, hidden_act="swish")
    return chain.network(head, frame_stride)


def _shortcut(shape: Shape, width: int, stride: int) -> tuple[Layer, ...]:
    """Nothing where the unit keeps its shape; else a projection, behind a pool where it strides."""
    if stride == 1 and shape.c == width:
        return ()
    layers: list[Layer] = []
    if stride > 1:
        window, steps = (1, 3, 3), (1, stride, stride)
        pooled = strided(shape, steps, shape.c)
        layers.append(Pool(in_shape=shape, out_shape=pooled, kind="avg", window=window, stride=steps))
        shape = pooled
    return (*layers, conv(shape, width, epsilon=EPSILON))
