"""Operators that people write: a layer of their own as a value of ``spatial_type`` or ``temporal_type``.

The gene's value is a name, so that genotypes, files and reports hold it like any other kind: the class's name, and the
fields that differ from their defaults, ``Shift`` or ``Shift(fold=4)``. It is found again where the class is there.
"""

import ast
import dataclasses
from collections.abc import Iterator, Sequence
from typing import Any, Literal

from tvnjax.core.errors import InvalidInputError
from tvnjax.graph import Layer, Shape
from tvnjax.spaces.registry import UnmadeSpaceError

Axis = Literal["spatial", "temporal"]

SET_BY_GENES = ("in_shape", "out_shape", "kernel", "stride")
"""Fields that are no part of a name: genes and the place in a network set them."""

_LONGEST = 80
_PACKAGE = __name__.partition(".")[0]


class OwnOperator(str):
    """The name of an own operator, and its layer.

    It stands where a pool does, on what its unit receives, and keeps the channels: the unit's 1x1 convolutions change
    them. A layer with a field ``kernel`` gets the block's kernel there, one with a field ``stride`` the block's stride;
    without ``stride`` it is no operator of a block that strides along its axis, as the identity is none.
    """

    layer: Layer

    def __new__(cls, layer: Layer) -> "OwnOperator":
        operator = super().__new__(cls, _name(layer))
        operator.layer = layer
        return operator

    def __reduce__(self) -> tuple[Any, ...]:
        return OwnOperator, (self.layer,)

    @property
    def sized(self) -> bool:
        """Whether its kernel matters; otherwise a kernel above 1 says that it is there, and no more."""
        return self._has("kernel")

    @property
    def strides(self) -> bool:
        """Whether it can stand where its block strides."""
        return self._has("stride")

    def place(self, shape: Shape, kernel: int, stride: int, axis: Axis) -> Layer:
        """The layer where arrays of a shape come in.

        Raises:
            InvalidInputError: it says that it gives another shape than an operator there has to.
        """
        # A stride past the end of an axis leaves one place, as a stride to its end does.
        stride = min(stride, shape.h if axis == "spatial" else shape.t) if self.strides else 1
        told = ({"kernel": kernel} if self.sized else {}) | ({"stride": stride} if self.strides else {})
        layer = dataclasses.replace(self.layer, in_shape=shape, **told)
        given, wanted = layer.out_shape, _strided(shape, stride, axis)
        if given != wanted:
            raise InvalidInputError(
                f"an operator of the TVN space keeps its channels and gives every stride-th place; {self} makes "
                f"{tuple(given)} of {tuple(shape)}, not {tuple(wanted)}: correct its out_shape"
            )
        return layer

    @property
    def free(self) -> bool:
        """Whether it has no parameters."""
        return self.place(Shape(8, 16, 16, 64), 3, 1, "spatial").params == 0

    def _has(self, name: str) -> bool:
        return any(field.name == name for field in dataclasses.fields(self.layer))


def as_operator(value: Any, known: Sequence[str] = ()) -> OwnOperator | None:
    """An own operator of a layer, a layer's class, or a name; nothing where it is none of these.

    Args:
        known: names that the space's own operators have.

    Raises:
        InvalidInputError: it is a layer that cannot be one.
        UnmadeSpaceError: it is a name such as an own operator has, and no class of that name is there.
    """
    if isinstance(value, OwnOperator):
        return value
    if isinstance(value, type) and issubclass(value, Layer):
        value = _made(value, {})
    if isinstance(value, Layer):
        operator = OwnOperator(value)
        if operator in known or type(value).__module__.partition(".")[0] == _PACKAGE:
            raise InvalidInputError(
                f"an own operator is a layer of a class of one's own; got {operator}: the space's operators are "
                f"{', '.join(known)}"
            )
        return operator
    return _named(value) if isinstance(value, str) and value not in known else None


def _made(kind: type[Layer], fields: dict[str, Any]) -> Layer:
    try:
        return kind(**fields)
    except TypeError as error:
        raise InvalidInputError(
            f"an own operator given by its class is made without arguments; {kind.__name__}: {error}: give an instance"
        ) from None


def _name(layer: Layer) -> str:
    told = []
    for field in dataclasses.fields(layer):
        value = getattr(layer, field.name)
        if field.name in SET_BY_GENES or (field.default is not dataclasses.MISSING and value == field.default):
            continue
        if not _is_plain(value):
            raise InvalidInputError(
                f"the fields of an own operator are numbers, texts or tuples of them, for they are its name in files; "
                f"{type(layer).__name__}.{field.name} is {value!r:.60}: keep what is larger in the module"
            )
        told.append(f"{field.name}={value!r}")
    name = type(layer).__name__ + (f"({', '.join(told)})" if told else "")
    if len(name) > _LONGEST or not name.isprintable():
        raise InvalidInputError(f"an own operator's name has at most {_LONGEST} plain characters; got {name!r:.120}")
    return name


def _is_plain(value: Any) -> bool:
    try:
        return bool(ast.literal_eval(repr(value)) == value)
    except (ValueError, SyntaxError):
        return False


def _named(name: str) -> OwnOperator | None:
    """The operator of a name, by its class; nothing for a text that is no such name."""
    if len(name) > _LONGEST:
        return None
    try:
        told = ast.parse(name, mode="eval").body
        call = told if isinstance(told, ast.Call) else ast.Call(func=told, args=[], keywords=[])
        fields = {str(keyword.arg): ast.literal_eval(keyword.value) for keyword in call.keywords}
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        return None
    if not isinstance(call.func, ast.Name) or call.args:
        return None
    found = {(kind.__module__, kind.__qualname__): kind for kind in _below(Layer) if kind.__name__ == call.func.id}
    if len(found) > 1:
        places = " and ".join(".".join(place) for place in found)
        raise InvalidInputError(f"an own operator is found by its class's name; {places} have one name: rename one")
    if not found and not call.func.id[:1].isupper():
        return None
    if not found:
        raise UnmadeSpaceError(
            f"an own operator is found where its class is there; {name!r} is of no class of this process: from Python "
            "import the module that defines it, or run the cell, before the run is opened or gone on with"
        )
    # The last one defined: in a notebook a cell is run again.
    return OwnOperator(_made(found.popitem()[1], fields))


def _below(kind: type[Layer]) -> Iterator[type[Layer]]:
    for below in kind.__subclasses__():
        if below.__module__.partition(".")[0] != _PACKAGE:
            yield below
        yield from _below(below)


def _strided(shape: Shape, stride: int, axis: Axis) -> Shape:
    t, h, w, c = shape
    return Shape(t, -(-h // stride), -(-w // stride), c) if axis == "spatial" else Shape(-(-t // stride), h, w, c)
