"""Layers that people write, in ONNX: the traced module converted by jax2onnx and put into the graph.

A form by hand (``add_layer.register``) runs faster where one is worth it; see ``experiments/benchmarks/onnx_graph.py``.
"""

import contextlib
import logging
import sys
import types
from collections.abc import Iterator
from typing import Any

import jax
from jax.extend.core import jaxpr_as_fun

from tvnjax import graph
from tvnjax.core.errors import InvalidInputError
from tvnjax.export.onnx.graph import OPSET, OnnxGraph
from tvnjax.export.optional import optional_package
from tvnjax.export.program import plain_forward


def add_converted(layer: graph.Layer, module: Any, to: OnnxGraph) -> None:
    """Adds what jax2onnx makes of a layer's module, between arrays ``[1, T, H, W, C]``.

    Raises:
        InvalidInputError: jax2onnx is missing, or cannot express the module.
    """
    model = _converted(layer, module)
    prefix = f"own{len(to.nodes)}_"
    renamed = optional_package("onnx.compose", "exporting to ONNX").add_prefix(model, prefix).graph
    entry, end = renamed.input[0].name, renamed.output[0].name
    t, h, w, c = layer.in_shape
    pixels = to.node("Transpose", [to.turn("frames")], perm=[0, 2, 3, 1])
    to.nodes.append(to.renaming(to.reshape(pixels, 1, t, h, w, c), entry))
    to.nodes.extend(renamed.node)
    to.constants.extend(renamed.initializer)
    t, h, w, c = layer.out_shape
    to.at = to.node("Transpose", [to.reshape(end, t, h, w, c)], perm=[0, 3, 1, 2])
    to.layout = "frames"


def _converted(layer: graph.Layer, module: Any) -> Any:
    clip = jax.ShapeDtypeStruct((1, *layer.in_shape), "float32")
    # Traced before the converter is there: it traces with functions of its own in place of JAX's, which take less.
    program = jaxpr_as_fun(jax.make_jaxpr(plain_forward(module, train=False))(clip))
    # It complains of examples of its own that lack a package.
    logging.getLogger("jax2onnx").setLevel(logging.ERROR)
    with _as_it_was():
        convert = optional_package("jax2onnx", f"the ONNX form of {type(layer).__name__}").to_onnx
        try:
            model = convert(program, [clip], opset=OPSET)
        except Exception as error:
            raise InvalidInputError(
                f"an own layer's ONNX form is made by jax2onnx, which cannot express {type(layer).__name__} "
                f"({type(error).__name__}: {error!s:.200}): export to stablehlo or tflite, or write its module in "
                "other operations"
            ) from None
    return optional_package("onnx.inliner", "exporting to ONNX").inline_local_functions(model)


@contextlib.contextmanager
def _as_it_was() -> Iterator[None]:
    """Puts back what jax2onnx (0.17) leaves changed in JAX, Flax and NumPy: behind a conversion ``jax.numpy.cumsum``
    refuses an axis by position."""
    before: list[tuple[Any, str, Any]] = []
    for name, module in list(sys.modules.items()):
        if name.partition(".")[0] in ("jax", "flax", "numpy") and isinstance(module, types.ModuleType):
            for key, value in list(vars(module).items()):
                before.append((module, key, value))
                if isinstance(value, type):
                    before += [(value, attribute, held) for attribute, held in list(vars(value).items())]
    try:
        yield
    finally:
        for owner, key, value in before:
            if vars(owner).get(key, value) is not value:
                setattr(owner, key, value)
