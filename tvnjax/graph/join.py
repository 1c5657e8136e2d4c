"""Layers that take several arrays and give one."""

import dataclasses
from typing import NoReturn

from tvnjax.core.errors import InvalidInputError
from tvnjax.graph.layer import UNPLACED, Layer
from tvnjax.graph.shape import Shape


@dataclasses.dataclass(frozen=True, kw_only=True)
class Join(Layer):
    """A layer of several inputs. It stands at the head of a unit (``Unit.join``), never in a chain of layers; its
    module takes a tuple of arrays.

    Raises:
        InvalidInputError: it has no input.
    """

    in_shape: Shape = dataclasses.field(default=UNPLACED, init=False, repr=False)
    """Of no use here: ``in_shapes`` are the sizes of what it gets."""
    in_shapes: tuple[Shape, ...] = dataclasses.field()  # pyright: ignore[reportIncompatibleVariableOverride]

    def __post_init__(self) -> None:
        if not self.in_shapes:
            raise InvalidInputError(f"a {type(self).__name__} joins at least one array; got none: give it in_shapes")

    @property
    def family(self) -> str:
        return "join"

    def placed(self, in_shape: Shape) -> NoReturn:
        raise InvalidInputError(
            f"a layer of a chain takes one array; {type(self).__name__} joins {len(self.in_shapes)}: make it the join "
            "of a unit with several inputs"
        )
