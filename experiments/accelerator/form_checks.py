"""Every layer on this device against float64 on the CPU: what it gives, and its gradients, in its forms.

The forms are those that layers train in on this device and that networks are exported in (``default_form`` and
``plain``), in float32 and in bfloat16. Everything read is a number of bfloat16, so that no error is one of the input;
gradients are those of a random weighting of what a layer gives, for all it reads and all of its weights.

An error is the root mean square of the differences as a part of the array's own (at least of 3 % of the largest
gradient's length: some gradients are 0); the largest difference would be that of single values that a rectifier lets
pass or not. Batch statistics are float32 in the reference too, as layers make them. On GPUs float32 convolutions round
to TF32 (10 bits) by default.
"""

import functools
from collections.abc import Callable, Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from flax import nnx

from experiments.accelerator.parts import Rows
from experiments.benchmarks.layer_forms import CONVOLUTIONS, POOLS
from tvnjax import graph
from tvnjax.graph import Shape
from tvnjax.nn.convolution import Form, conv, default_form
from tvnjax.nn.layers import build_layer
from tvnjax.nn.parts import Initializer

ALLOWED = {"float32": 1e-5, "tf32": 5e-3, "bfloat16": 6e-2}
"""Largest error. On a CPU rounding to 23 and 7 bits gives 2e-6 and 4e-2 (where rectifiers let values of the other side
of 0 pass); of TF32 nothing was measured yet."""
_IN = Shape(4, 8, 8, 32)

LAYERS: dict[str, graph.Layer] = {
    "convolution": graph.Conv(in_shape=_IN, out_shape=Shape(4, 4, 4, 48), kernel=(1, 3, 3), stride=(1, 2, 2)),
    "depthwise convolution": graph.Conv(in_shape=_IN, out_shape=_IN, kernel=(1, 5, 5), groups=32, act="hswish"),
    "convolution, 1x1": graph.Conv(in_shape=_IN, out_shape=Shape(4, 8, 8, 16), act="relu"),
    "temporal convolution": graph.Conv(in_shape=_IN, out_shape=_IN, kernel=(3, 1, 1), act="relu"),
    "max pool over time": graph.Pool(
        in_shape=_IN, out_shape=Shape(2, 8, 8, 32), kind="max", window=(3, 1, 1), stride=(2, 1, 1)
    ),
    "average pool over time": graph.Pool(
        in_shape=_IN, out_shape=Shape(2, 8, 8, 32), kind="avg", window=(3, 1, 1), stride=(2, 1, 1)
    ),
    "squeeze-excite": graph.SqueezeExcite(in_shape=_IN, hidden=8),
    "context gate": graph.ContextGate(in_shape=_IN),
    "non-local": graph.NonLocal(in_shape=_IN, bottleneck=16),
    "scalar": graph.Scale(in_shape=_IN),
}


def check_forms(rows: Rows, only: Sequence[str] | None = None) -> None:
    """A row for each layer, form and dtype; of all layers, or of those named."""
    device = jax.devices()[0]
    forms: list[Form] = list(dict.fromkeys([default_form(device.platform), "plain"]))
    for name, (function, args) in cases().items():
        if only is not None and name not in only:
            continue
        reference = functools.cache(functools.partial(in_float64, function, args))
        for form in forms:
            for dtype in ("float32", "bfloat16"):
                make = functools.partial(compared, function, args, form, dtype, reference, device)
                rows.once(f"{name}, {form}, {dtype}", make)


def cases() -> dict[str, tuple[Callable[..., Any], list[np.ndarray]]]:
    """By name: a function of arrays and a form, and its arrays in float64."""
    rng = np.random.default_rng(0)

    def normal(shape: tuple[int, ...], scale: float = 1.0) -> np.ndarray:
        return np.asarray(jnp.asarray(rng.standard_normal(shape) * scale, jnp.bfloat16)).astype(np.float64)

    found: dict[str, Any] = {}
    for name, (shape, kernel, stride) in CONVOLUTIONS.items():
        weights = normal(kernel, float(np.prod(kernel[:-1])) ** -0.5)
        found[name] = functools.partial(conv, stride=stride), [normal((2, *shape[1:])), weights]
    for name, (pool, stride) in POOLS.items():
        found[name] = functools.partial(pool, window=(1, 3, 3), stride=stride), [normal((2, 4, 16, 16, 32))]
    for name, layer in LAYERS.items():
        leaves = jax.tree.leaves(nnx.split(build_layer(layer, Initializer(0), "plain"), nnx.Param, ...)[1])
        # Other than they begin: scales of 1 and 0 would hide what they are multiplied with.
        weights = [np.rint(64 * np.asarray(leaf)).astype(np.float64) / 64 + normal(leaf.shape, 0.1) for leaf in leaves]
        found[name] = functools.partial(_of_layer, layer), [normal((2, *layer.in_shape)), *weights]
    return found


def _of_layer(layer: graph.Layer, x: Any, *weights: Any, form: Form) -> Any:
    graphdef, params, rest = nnx.split(build_layer(layer, Initializer(0), form), nnx.Param, ...)
    params = jax.tree.unflatten(jax.tree.structure(params), weights)
    module: Any = nnx.merge(graphdef, params, rest, copy=True)
    return module(x, train=True)


def in_float64(function: Callable[..., Any], args: Sequence[np.ndarray]) -> list[np.ndarray]:
    """What a function gives on the CPU in its plain form, and its gradients."""
    with jax.enable_x64(True), jax.default_device(jax.devices("cpu")[0]):
        given = map(jnp.asarray, _weighted(function, args))
        return _host(jax.jit(_with_gradients(functools.partial(function, form="plain")))(*given))


def compared(
    function: Callable[..., Any],
    args: Sequence[np.ndarray],
    form: Form,
    dtype: str,
    reference: Callable[[], list[np.ndarray]],
    device: Any,
) -> dict[str, Any]:
    """The errors of one form on a device."""
    x, *weights = args
    # A layer rounds its weights itself; a bare convolution is given them rounded.
    of_weights = dtype if getattr(function, "func", None) is conv else "float32"
    *_, weighting = _weighted(function, args)
    given = [jnp.asarray(x, dtype), *(jnp.asarray(w, of_weights) for w in weights), jnp.asarray(weighting, dtype)]
    found = _host(jax.jit(_with_gradients(functools.partial(function, form=form)))(*jax.device_put(given, device)))
    errors = _errors(found, reference())
    allowed = ALLOWED["tf32" if dtype == "float32" and device.platform != "cpu" else dtype]
    worst = max(errors)
    return {
        "output_error": errors[0],
        "gradient_error": max(errors[1:]),
        "allowed": allowed,
        "holds": bool(worst <= allowed),
    }


def _with_gradients(function: Callable[..., Any]) -> Callable[..., Any]:
    def run(*args: Any) -> Any:
        *read, weighting = args
        y, pull_back = jax.vjp(function, *read)
        return y, *pull_back(weighting.astype(y.dtype))

    return run


def _host(arrays: Any) -> list[np.ndarray]:
    return [np.asarray(jax.device_get(array)).astype(np.float64) for array in arrays]


def _weighted(function: Callable[..., Any], args: Sequence[np.ndarray]) -> list[np.ndarray]:
    """The arguments and a weighting of what the function gives: sixteenths, which no dtype rounds."""
    narrow = (jax.ShapeDtypeStruct(array.shape, jnp.float32) for array in args)
    given = jax.eval_shape(functools.partial(function, form="plain"), *narrow)
    return [*args, np.random.default_rng(1).integers(-16, 17, given.shape) / 16]


def _errors(found: list[np.ndarray], reference: list[np.ndarray]) -> list[float]:
    lengths = [float(np.linalg.norm(array)) for array in reference]
    least = [0.0, *[0.03 * max(lengths[1:])] * (len(lengths) - 1)]
    differences = [float(np.linalg.norm(a - b)) for a, b in zip(found, reference, strict=True)]
    return [difference / (max(pair) or 1.0) for difference, pair in zip(differences, zip(lengths, least), strict=True)]
