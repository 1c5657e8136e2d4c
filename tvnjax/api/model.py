"""A trained network that is used: predictions, the module, what it is."""

import functools
import html
import os
from pathlib import Path
from typing import TYPE_CHECKING, Any, get_args, overload

import jax
import numpy as np
from flax import nnx

from tvnjax.api.clips import ClipMaker
from tvnjax.api.prediction import Prediction, Predictions
from tvnjax.api.run import draw_network_of, picture
from tvnjax.core.errors import InvalidInputError
from tvnjax.core.printable import printable
from tvnjax.graph import Network
from tvnjax.nn.parts import normalize
from tvnjax.nn.saved_weights import load_weights
from tvnjax.training.saved import SavedNetwork

if TYPE_CHECKING:
    from tvnjax.api.drawing import Drawing
    from tvnjax.export import ExportFormat
    from tvnjax.export.export_network import Exported
    from tvnjax.nn.child import Child

_BATCH = 32
"""Clips that are scored at once."""


class NetworkModule(nnx.Module):
    """A trained network as a module of Flax: ``module(clips)`` gives logits; ``train()`` and ``eval()`` switch between
    statistics of the batch and running ones. Made in the state of ``eval()``.

    Args:
        child: the layers.
        shape: frames, height, width and channels of what it reads.
    """

    def __init__(self, child: "Child", shape: tuple[int, int, int, int]):
        self.child = child
        self.shape = shape
        # The names that nnx.Module.train() and eval() set.
        self.use_running_average = True
        self.deterministic = True

    def __call__(self, clips: jax.Array | np.ndarray, *, dropout_key: jax.Array | None = None) -> jax.Array:
        """Pixels ``[clips, frames, height, width, 3]``, uint8 or floats from 0 to 1, to logits ``[clips, classes]``.

        Args:
            dropout_key: of the head's dropout; without one nothing is dropped. Used after ``train()`` alone.

        Raises:
            InvalidInputError: they are of another shape or kind.
        """
        if clips.shape[1:] != self.shape:
            raise InvalidInputError(f"the network reads clips of {self.shape}; got {clips.shape[1:]}: cut them so")
        pixels = jax.numpy.asarray(clips)
        if pixels.dtype != np.uint8 and not jax.numpy.issubdtype(pixels.dtype, jax.numpy.floating):
            raise InvalidInputError(f"pixels are uint8, or floats from 0 to 1; got {pixels.dtype}")
        key = None if self.deterministic else dropout_key
        # Floats become levels of 256, which is what is normalised.
        levels = pixels if pixels.dtype == np.uint8 else pixels * 255
        return self.child(normalize(levels), train=not self.use_running_average, dropout_key=key)


class Model:
    """A trained network.

    Args:
        saved: from ``training.saved.open_saved``.

    Raises:
        InvalidInputError: the weights are missing, damaged or of another network.
    """

    def __init__(self, saved: SavedNetwork):
        graph, params, stats = load_weights(saved.weights, saved.trained)
        self._saved, self._maker = saved, ClipMaker(saved.trained)
        self.module = NetworkModule(nnx.merge(graph, params, stats), self._maker.shape)
        """The network as a module; what is trained further in it counts in :meth:`predict`."""

    @property
    def name(self) -> str:
        return self._saved.entry.name

    @property
    def weights(self) -> Path:
        """The checkpoint."""
        return self._saved.weights

    @property
    def classes(self) -> tuple[str, ...]:
        """In the order of the scores."""
        return self._saved.classes

    @functools.cached_property
    def network(self) -> Network:
        """Its layers, every shape known."""
        return self._saved.network

    @property
    def params(self) -> int:
        """Trainable ones."""
        return self.network.params

    @property
    def macs(self) -> int:
        """Multiply-adds of one clip."""
        return self.network.macs

    @property
    def clip_shape(self) -> tuple[int, int, int, int]:
        """Of what it reads of a clip: frames, height, width, 3."""
        return self._maker.shape

    @overload
    def predict(self, clip: str | os.PathLike[str], *, span: tuple[int, int | None] | None = None) -> Prediction: ...
    @overload
    def predict(self, clip: Any, *, span: None = None) -> Prediction | Predictions: ...
    def predict(self, clip: Any, *, span: tuple[int, int | None] | None = None) -> Prediction | Predictions:
        """The classes of a clip with their probabilities, the most probable first.

        A video is decoded, cut and stored as ``tvnjax evaluate`` does it. An array's frames are those of a video at its
        own rate, of which the network reads some in the middle; as many frames as it reads are read as they are.

        Args:
            clip: a video's path; or ``[frames, height, width, 3]`` uint8 or floats from 0 to 1, grey without the last
                axis; an axis before them for several clips (grey ones then end in 1).
            span: of a video, the frames to read: the first, and one past the last or None. Default: all.

        Returns:
            A ``Prediction``; of several clips ``Predictions``, a list of them.

        Raises:
            InvalidInputError: the video cannot be decoded, or the array is no clip.
        """
        if isinstance(clip, str | os.PathLike):
            first, last = (0, None) if span is None else span
            if first < 0 or (last is not None and last <= first):
                raise InvalidInputError(f"a span is the first frame and one past the last; got {span!r:.100}")
            clips, single = self._maker.of_video(Path(os.fsdecode(clip)), (first, last))[None], True
        else:
            if span is not None:
                raise InvalidInputError("a span is one of a video; cut an array itself: clip[first:last]")
            clips, single = self._maker.of_array(clip)
        found = Predictions(Prediction(self.classes, row) for row in self._probabilities(clips))
        return found[0] if single else found

    def export(
        self, out: str | os.PathLike[str], to: "ExportFormat | None" = None, *, force: bool = False
    ) -> "Exported":
        """Writes the network as a file of another runtime with a description (JSON) beside it, as ``tvnjax export``
        does; the file is run there once and compared.

        Args:
            out: the file.
            to: stablehlo, onnx or tflite. Default: the file's ending.
            force: replace files that are there.

        Returns:
            Where they were written, and the largest difference of a score from JAX's.

        Raises:
            InvalidInputError: the format is none of these, a package it needs is missing (and how to install it), a
                file is there, or the file does not compute what the network does.
        """
        from tvnjax.export import ExportFormat
        from tvnjax.export.export_network import export_weights

        path, formats = Path(os.fsdecode(out)), get_args(ExportFormat)
        kind: Any = path.suffix[1:] if to is None else to
        if kind not in formats:
            raise InvalidInputError(
                f"an export is of {', '.join(formats)}, by the file's ending or to=...; got {str(path)!r:.100}"
                + (f" and to={to!r:.60}" if to is not None else "")
            )
        _, params, stats = nnx.split(self.module.child, nnx.Param, ...)
        return export_weights(self._saved.trained, params, stats, kind, path, force=force)

    def draw(self) -> "Drawing":
        """Its layers, from top to bottom."""
        return draw_network_of(self.network, self.name)

    def _probabilities(self, clips: np.ndarray) -> np.ndarray:
        """``[clips, classes]`` of uint8 clips as the network reads them."""
        graph, state = nnx.split(self.module.child)
        logits = []
        for start in range(0, len(clips), _BATCH):
            batch = clips[start : start + _BATCH]
            missing = 0 if len(clips) == 1 else _BATCH - len(batch)
            padded = np.pad(batch, [(0, missing)] + [(0, 0)] * 4)
            logits.append(np.asarray(_forward(graph, state, padded), np.float64)[: len(batch)])
        scores = np.concatenate(logits)
        shares = np.exp(scores - scores.max(1, keepdims=True))
        return shares / shares.sum(1, keepdims=True)

    def __repr__(self) -> str:
        frames, side = self.clip_shape[:2]
        about = f"{len(self.classes)} classes, {frames} frames of {side} px, {self.params:,} parameters"
        return printable(f"Model({self.name}, {about}, {self.macs:,} multiply-adds)", 200)

    def _repr_html_(self) -> str:
        names = ", ".join(map(printable, self.classes[:20])) + (", ..." if len(self.classes) > 20 else "")
        return f"<p><b>{html.escape(repr(self))}</b></p><p>{html.escape(names)}</p>{picture(self.draw())}"


@functools.partial(jax.jit, static_argnums=0)
def _forward(graph: Any, state: Any, clips: jax.Array) -> jax.Array:
    return nnx.merge(graph, state, copy=True)(normalize(clips))
