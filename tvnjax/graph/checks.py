"""Whether layers fit together."""

from collections.abc import Iterable

from tvnjax.core.errors import InvalidInputError
from tvnjax.graph.layer import Layer
from tvnjax.graph.shape import Shape


def chain_end(layers: Iterable[Layer], in_shape: Shape, where: str) -> Shape:
    """What a chain of layers gives.

    Args:
        layers: in their order.
        in_shape: of what comes in.
        where: the chain in words, for the error.

    Raises:
        InvalidInputError: a layer takes something else than the one before gives, or joins several arrays.
    """
    shape = in_shape
    for layer in layers:
        if layer.in_shapes != (shape,):
            takes = " and ".join(str(tuple(taken)) for taken in layer.in_shapes)
            raise InvalidInputError(
                f"a layer takes what the one before gives; in {where} {layer} takes {takes} where {tuple(shape)} "
                "comes in: correct one of them"
            )
        shape = layer.out_shape
    return shape
