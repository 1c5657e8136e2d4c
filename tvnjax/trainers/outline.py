"""What weights a network has, told without making them."""

from collections.abc import Iterable, Mapping
from typing import Any, NamedTuple

import numpy as np
from flax import nnx

from tvnjax.trainers.fresh_weights import standard_normal

Path = tuple[Any, ...]
"""Of an array: names and numbers of what holds it."""


class Sketch(NamedTuple):
    """One array that is not there yet."""

    shape: tuple[int, ...]
    deviation: float
    """Standard deviation of its weights at the start."""
    mean: float = 0.0
    given: np.ndarray | None = None
    """The weights at the start, where the layer draws or sets them itself."""

    def joined(self, other: "Sketch") -> "Sketch":
        """An array that has both as leading parts. It is drawn as the one with more inputs is."""
        shape = tuple(map(max, self.shape, other.shape))
        least = min(self, other, key=lambda sketch: sketch.deviation)
        given = next((one.given for one in (self, other) if one.given is not None and one.shape == shape), None)
        return Sketch(shape, least.deviation, least.mean, least.given if given is None else given)

    def drawn(self, seed: int, path: Path) -> np.ndarray:
        """Its weights at the start."""
        if self.deviation == 0:
            return np.full(self.shape, self.mean, np.float32)
        array = standard_normal(self.shape, seed, path)
        array *= np.float32(self.deviation)
        array += np.float32(self.mean)
        if self.given is not None:
            array[tuple(map(slice, self.given.shape))] = self.given
        return array


Outline = Mapping[Path, Sketch]
"""The arrays of a network, or of several that share them."""


def outline(params: nnx.State) -> Outline:
    """Of a network whose ``Initializer`` had no seed."""
    return {path: _sketch(leaf[...]) for path, leaf in nnx.to_flat_state(params)}


def count(arrays: Outline) -> int:
    """Weights in all."""
    return sum(int(np.prod(sketch.shape, dtype=np.int64)) for sketch in arrays.values())


def union(outlines: Iterable[Outline]) -> Outline:
    """All arrays that any has, each as large as in any."""
    found: dict[Path, Sketch] = {}
    for arrays in outlines:
        for path, sketch in arrays.items():
            found[path] = found[path].joined(sketch) if path in found else sketch
    return found


def covers(arrays: Outline, others: Outline) -> bool:
    """Whether the second's arrays are all leading parts of the first's."""
    return all(
        path in arrays and all(a >= b for a, b in zip(arrays[path].shape, sketch.shape, strict=True))
        for path, sketch in others.items()
    )


def _sketch(array: Any) -> Sketch:
    if isinstance(array, np.ndarray) and not any(array.strides):
        return Sketch(array.shape, float(array.reshape(-1)[0]) if array.size else 0.0)
    given = np.asarray(array)
    if not given.size or (given == given.reshape(-1)[0]).all():
        return Sketch(given.shape, 0.0, float(given.reshape(-1)[0]) if given.size else 0.0)
    return Sketch(given.shape, float(given.std()), float(given.mean()), given)
