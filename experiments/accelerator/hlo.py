"""What an optimized program for a GPU is made of, read from XLA's text: kernels, and the products of convolutions."""

import math
import re
from collections import Counter
from typing import NamedTuple

_SHAPE = r"([a-z]\w*)\[([\d,]*)\](?:\{[^}]*\})?"
_DEFINITION = re.compile(r"^\s*(?:ROOT )?%?([\w.\-]+) = (\(?)" + _SHAPE, re.M)
_ENTRY = re.compile(r"^ENTRY .*?\{\n(.*?)^\}", re.S | re.M)
_OPERATION = re.compile(r" = (?:\([^=]*?\)|[\w\[\],{}:()*/ ]+?) ([a-z][\w\-]*)\(")
_CONVOLUTION = re.compile(
    r"^\s*(?:ROOT )?%?[\w.\-]+ = \(?"
    + _SHAPE
    + r".*? (?:custom-call|convolution)\(([^)]*)\).*?dim_labels=(\w+)_(\w+)->(\w+)"
    r"(?P<rest>.*)$",
    re.M,
)
_NO_KERNEL = {
    *("parameter", "constant", "get-tuple-element", "tuple", "bitcast"),
    *("after-all", "async-done", "copy-done", "opt-barrier"),
}


class Convolution(NamedTuple):
    """One convolution of a program: the dtype of what it multiplies, and how many products it sums."""

    dtype: str
    multiply_adds: int


def kernels(text: str) -> Counter[str]:
    """Operations of the entry computation that launch something, by kind. What runs inside of loops and branches counts
    as the one operation that holds it."""
    entry = _ENTRY.search(text)
    assert entry is not None, "an optimized program has an entry computation"
    return Counter(kind for kind in _OPERATION.findall(entry.group(1)) if kind not in _NO_KERNEL)


def convolutions(text: str) -> list[Convolution]:
    """Every convolution, cuDNN's among them, forward and gradients.

    A convolution of ``x`` with ``kernel`` to ``y`` sums ``|y| |kernel| / features`` products, whichever of the three
    is the result: as many for each gradient as forward. Products with padding and with the zeros of a dilation count.
    """
    shapes = {name: (dtype, _sizes(sizes)) for name, _, dtype, sizes in _DEFINITION.findall(text)}
    found = []
    for match in _CONVOLUTION.finditer(text):
        dtype, sizes, operands, *labels = match.groups()[:6]
        arrays = [shapes[name.strip().split(" ")[-1].lstrip("%")] for name in operands.split(",")[:2]]
        result = (dtype, _sizes(sizes))
        target = re.search(r'custom_call_target="__cudnn\$conv(\w+)"', match["rest"])
        kind = target.group(1) if target else "Forward"
        kernel, y = {
            "BackwardFilter": (result, arrays[1]),
            "BackwardInput": (arrays[1], arrays[0]),
        }.get(kind, (arrays[1], result))
        features = kernel[1][labels[1].index("o")]
        found.append(Convolution(arrays[0][0], math.prod(y[1]) * math.prod(kernel[1]) // features))
    return found


def share_of(dtype: str, convolved: list[Convolution]) -> float:
    """The part of all products of convolutions that multiply numbers of a dtype (``bf16``)."""
    return sum(one.multiply_adds for one in convolved if one.dtype == dtype) / sum(c.multiply_adds for c in convolved)


def _sizes(text: str) -> tuple[int, ...]:
    return tuple(int(size) for size in text.split(",") if size)
