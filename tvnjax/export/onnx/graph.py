"""A network as an ONNX graph, built from its primitive layers.

Generic conversion of the traced program works too, but its graphs run 2 to 4 times as long in ONNX Runtime (see
``experiments/benchmarks/onnx_graph.py``): that runtime's fast convolutions take ``[N, C, H, W]``, and what a converter
makes of ``[B, T, H, W, C]`` is transposed around every one of them. Here frames are the batch of a spatial layer,
pixels the second spatial axis of a temporal one, and a batch normalisation is part of its convolution.
"""

import functools
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Literal, NamedTuple

import numpy as np

from tvnjax import graph
from tvnjax.core.errors import InvalidInputError
from tvnjax.export.optional import optional_package
from tvnjax.graph import Network, Shape, Triple, input_names
from tvnjax.nn.child import Child, HeadModule, UnitModule
from tvnjax.nn.parts import Dense

OPSET, IR_VERSION = 17, 9

Layout = Literal["frames", "time", "volume"]
"""``frames`` ``[T, C, H, W]``, ``time`` ``[1, C, T, H * W]``, ``volume`` ``[1, C, T, H, W]``."""


class Flow(NamedTuple):
    """An array between layers."""

    at: str
    """Its name."""
    shape: Shape
    layout: Layout


def onnx_network(lowered: Network, child: Child, metadata: dict[str, str]) -> bytes:
    """The serialized model: ``clip`` ``[1, T, H, W, C]`` normalised float32 to ``scores`` ``[1, classes]``. Of several
    streams each is an input (``graph.input_names``).

    Args:
        lowered: the network.
        child: its module, with the weights.
        metadata: goes into the model's properties.

    Raises:
        InvalidInputError: the package ``onnx`` is missing, or a layer has no ONNX form.
    """
    graph, names = OnnxGraph(), input_names(len(lowered.input_shapes))
    taken = {name: (1, *shape) for name, shape in zip(names, lowered.input_shapes)}

    def run(number: int, inputs: list[Flow]) -> Flow:
        return graph.unit(lowered.units[number], child.units[number], inputs)

    streams = [graph.pixels(name, shape) for name, shape in zip(names, lowered.input_shapes)]
    graph.flow = lowered.wiring.run(streams, run)
    graph.head(lowered.head, child.head)
    return graph.serialized(taken, (1, lowered.head.num_classes), metadata)


def onnx_unit(unit: graph.Unit, module: UnitModule) -> bytes:
    """One unit between arrays laid out as they are inside a network, ``[T, C, H, W]``. Raises as ``onnx_network``."""
    graph = OnnxGraph()
    taken = dict(zip(input_names(len(unit.in_shapes)), unit.in_shapes))
    graph.unit(unit, module, [Flow(name, shape, "frames") for name, shape in taken.items()])
    graph.turn("frames")
    return graph.serialized({name: _frames(shape) for name, shape in taken.items()}, _frames(unit.out_shape), {})


@functools.singledispatch
def add_layer(layer: graph.Layer, module: Any, to: "OnnxGraph") -> None:
    """Adds a layer with its weights behind what flows in a graph. A class of layers has its form by
    ``add_layer.register`` (``export.onnx.layers``); that of others is converted (``export.onnx.own_layers``).

    Raises:
        InvalidInputError: the converter is missing, or cannot express it.
    """
    from tvnjax.export.onnx.own_layers import add_converted  # which needs this module

    add_converted(layer, module, to)


@functools.singledispatch
def add_join(join: graph.Join, module: Any, inputs: "list[Flow]", to: "OnnxGraph") -> None:
    """Makes one array of several and lets it flow. A class of joins has its form by ``add_join.register``.

    Raises:
        InvalidInputError: it has none.
    """
    raise InvalidInputError(f"no ONNX form is known for a join {join}: export to stablehlo or tflite")


class OnnxGraph:
    """Nodes so far, the name of the array that flows, its logical shape and how it is laid out."""

    def __init__(self) -> None:
        self._onnx = optional_package("onnx", "exporting to ONNX")
        self.nodes: list[Any] = []
        self.constants: list[Any] = []
        self.at, self.shape = "clip", Shape(1, 1, 1, 1)
        self.layout: Layout = "frames"

    def node(self, kind: str, inputs: Sequence[str], **attributes: Any) -> str:
        """Adds an operation; returns the name of its result."""
        name = f"{kind.lower()}_{len(self.nodes)}"
        self.nodes.append(self._onnx.helper.make_node(kind, list(inputs), [name], name=name, **attributes))
        return name

    @property
    def flow(self) -> Flow:
        """The array that flows."""
        return Flow(self.at, self.shape, self.layout)

    @flow.setter
    def flow(self, flow: Flow) -> None:
        self.at, self.shape, self.layout = flow

    def pixels(self, name: str, shape: Shape) -> Flow:
        """A stream of the network, ``[1, T, H, W, C]``, as arrays are laid out inside."""
        pixels = self.reshape(name, *shape)
        return Flow(self.node("Transpose", [pixels], perm=[0, 3, 1, 2]), shape, "frames")

    def constant(self, value: Any) -> str:
        name = f"constant_{len(self.constants)}"
        self.constants.append(self._onnx.numpy_helper.from_array(np.asarray(value), name))
        return name

    def renaming(self, at: str, name: str) -> Any:
        """An operation that gives an array another name."""
        return self._onnx.helper.make_node("Identity", [at], [name])

    def reshape(self, at: str, *sizes: int) -> str:
        return self.node("Reshape", [at, self.constant(np.array(sizes, np.int64))])

    def turn(self, layout: Layout) -> str:
        """The flowing array in another layout."""
        t, h, w, c = self.shape
        if layout != self.layout:
            if "frames" in (layout, self.layout) and t > 1:
                # From [T, C, H, W] to [C, T, H, W] or back.
                at = self.at if self.layout == "frames" else self.reshape(self.at, c, t, h, w)
                self.at = self.node("Transpose", [at], perm=[1, 0, 2, 3])
            sizes = {"frames": (t, c, h, w), "time": (1, c, t, h * w), "volume": (1, c, t, h, w)}[layout]
            if layout != "frames" or t == 1:
                self.at = self.reshape(self.at, *sizes)
            self.layout = layout
        return self.at

    def unit(self, unit: graph.Unit, module: Any, inputs: list[Flow]) -> Flow:
        """Adds a unit behind arrays; what it gives, which then flows."""
        if unit.join is None:
            (self.flow,) = inputs
        else:
            add_join(unit.join, module.join, inputs, self)
            self.shape = unit.join.out_shape
        entry = self.flow
        self.chain(unit.layers, module.layers)
        if unit.shortcut is not None:
            main = (self.turn("frames"), self.shape)
            self.flow = entry
            self.chain(unit.shortcut, module.shortcut)
            self.at = self.node("Add", [main[0], self.turn("frames")])
            self.shape = main[1]
        self.activate(unit.act)
        return self.flow

    def chain(self, layers: Iterable[graph.Layer], modules: Iterable[Any]) -> None:
        """Adds layers one behind the other."""
        for layer, module in zip(layers, modules, strict=True):
            self.layer(layer, module)

    def layer(self, layer: graph.Layer, module: Any) -> None:
        add_layer(layer, module, self)
        self.shape = layer.out_shape

    def window(
        self, layer: graph.Layer, window: Triple, stride: Triple, kernel: Any = None, *, centered: bool = False
    ) -> tuple[list[int], list[int], list[int], Any]:
        """Turns the array to the layout of a window; the pads, window, stride and kernel there."""
        (t, h, w, _), (kt, kh, kw), (st, sh, sw) = layer.in_shape, window, stride
        if kt == st == 1:
            layout, sizes, windows, strides = "frames", (h, w), (kh, kw), (sh, sw)
            kernel = None if kernel is None else kernel[:, :, 0]
        elif kh == kw == sh == sw == 1:
            layout, sizes, windows, strides = "time", (t, h * w), (kt, 1), (st, 1)
            kernel = None if kernel is None else kernel[:, :, :, :, 0]
        else:
            layout, sizes, windows, strides = "volume", (t, h, w), window, stride
        self.turn(layout)
        pads = _centered_pads if centered else _same_pads
        both = [pads(size, k, s) for size, k, s in zip(sizes, windows, strides)]
        return [a for a, _ in both] + [b for _, b in both], list(windows), list(strides), kernel

    def activate(self, act: str | None) -> None:
        self.at = self.activated(self.at, act)

    def activated(self, at: str, act: str | None) -> str:
        if act is None:
            return at
        if act == "swish":
            return self.node("Mul", [at, self.node("Sigmoid", [at])])
        if act == "hsigmoid":
            return self.node("HardSigmoid", [at], alpha=1 / 6, beta=0.5)
        return self.node({"relu": "Relu", "hswish": "HardSwish", "sigmoid": "Sigmoid"}[act], [at])

    def clip_mean(self) -> str:
        """``[1, C]``: mean over time and space."""
        return self.node("ReduceMean", [self.frame_means()], axes=[0], keepdims=1)

    def frame_means(self) -> str:
        """``[T, C]``: mean over space."""
        means = self.node("GlobalAveragePool", [self.turn("frames")])
        return self.reshape(means, self.shape.t, self.shape.c)

    def dense(self, at: str, module: Dense) -> str:
        """``[N, c_in]`` to ``[N, c_out]``."""
        parts = [module.kernel] if module.bias is None else [module.kernel, module.bias]
        return self.node("Gemm", [at, *(self.constant(np.asarray(part[...])) for part in parts)])

    def gate(self, scores: str, kind: str = "sigmoid", frames: int = 1) -> None:
        factor = self.reshape(self.activated(scores, kind), frames, self.shape.c, 1, 1)
        self.at = self.node("Mul", [self.turn("frames"), factor])

    def head(self, head: graph.Head, module: HeadModule) -> None:
        features = self.clip_mean() if head.pool == "mean" else self.frame_means()
        if module.hidden is not None:
            features = self.activated(self.dense(features, module.hidden), head.hidden_act)
        if head.pool == "max_features":
            features = self.node("ReduceMax", [features], axes=[0], keepdims=1)
        if head.pool in ("mean", "max_features"):
            scores = self.dense(features, module.dense)
        else:
            frames = self.dense(features, module.dense)
            if head.pool == "max_time":
                scores = self.node("ReduceMax", [frames], axes=[0], keepdims=1)
            else:
                root = self.constant(np.float32(np.sqrt(self.shape.t)))
                parts = self.node("Softmax", [self.node("Div", [frames, root])], axis=0)
                axes = self.constant(np.array([0], np.int64))
                scores = self.node("ReduceSum", [self.node("Mul", [parts, frames]), axes], keepdims=1)
        self.at = scores

    def serialized(self, taken: Mapping[str, Sequence[int]], given: Sequence[int], metadata: dict[str, str]) -> bytes:
        """The model, with the sizes of every input by its name, and of what flows in the end."""
        helper, real = self._onnx.helper, self._onnx.TensorProto.FLOAT
        self.nodes.append(helper.make_node("Identity", [self.at], ["scores"]))
        inputs = [helper.make_tensor_value_info(name, real, sizes) for name, sizes in taken.items()]
        scores = helper.make_tensor_value_info("scores", real, given)
        graph = helper.make_graph(self.nodes, "tvnjax", inputs, [scores], self.constants)
        opsets = [helper.make_opsetid("", OPSET)]
        model = helper.make_model(graph, opset_imports=opsets, ir_version=IR_VERSION, producer_name="tvnjax")
        helper.set_model_props(model, metadata)
        self._onnx.checker.check_model(model)
        return model.SerializeToString()


def _frames(shape: Shape) -> tuple[int, int, int, int]:
    return shape.t, shape.c, shape.h, shape.w


def _centered_pads(size: int, window: int, stride: int) -> tuple[int, int]:
    """Half the window in front, the rest behind; ``Conv.centered``."""
    before = window // 2
    # A window that strides past the end reads nothing behind it; less than nothing cannot be asked of ONNX.
    return before, max((-(-size // stride) - 1) * stride + window - before - size, 0)


def _same_pads(size: int, window: int, stride: int) -> tuple[int, int]:
    """In front and behind, so that the result has ``ceil(size / stride)`` positions; the odd one is behind."""
    total = max((-(-size // stride) - 1) * stride + window - size, 0)
    return total // 2, total - total // 2
