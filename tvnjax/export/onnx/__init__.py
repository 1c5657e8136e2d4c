"""A network as an ONNX graph."""

from tvnjax.export.onnx import joins, layers  # registers the forms
from tvnjax.export.onnx.graph import OPSET, OnnxGraph, add_join, add_layer, onnx_network, onnx_unit

__all__ = ["OPSET", "OnnxGraph", "add_join", "add_layer", "joins", "layers", "onnx_network", "onnx_unit"]
