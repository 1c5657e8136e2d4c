"""Running an exported file in its own runtime, to see that it computes what the network does."""

import importlib

import jax
import numpy as np

from tvnjax.export import ExportFormat
from tvnjax.export.optional import optional_package
from tvnjax.export.program import ExportProgram
from tvnjax.graph import input_names


def run_file(content: bytes, kind: ExportFormat, *streams: np.ndarray) -> np.ndarray:
    """Scores ``[1, classes]`` of one normalised clip ``[1, T, H, W, C]``, computed by JAX, ONNX Runtime or LiteRT. Of a
    network of several streams the array of each, in order.

    Raises:
        InvalidInputError: the runtime is not installed.
    """
    if kind == "stablehlo":
        return np.asarray(importlib.import_module("jax.export").deserialize(bytearray(content)).call(*streams))
    named = dict(zip(input_names(len(streams)), streams))
    if kind == "onnx":
        runtime = optional_package("onnxruntime", "running an ONNX file")
        session = runtime.InferenceSession(content, providers=["CPUExecutionProvider"])
        return session.run(None, named)[0]
    interpreter = optional_package("ai_edge_litert.interpreter", "running a TFLite file").Interpreter(
        model_content=content
    )
    return interpreter.get_signature_runner("serving_default")(**named)["scores"]


def largest_difference(content: bytes, kind: ExportFormat, program: ExportProgram, *streams: np.ndarray) -> float:
    """Largest difference between the file's scores and JAX's for one clip, as a part of the largest score or of 1."""
    ours = np.asarray(jax.jit(program.forward)(*streams))
    return float(np.abs(run_file(content, kind, *streams) - ours).max() / max(np.abs(ours).max(), 1.0))
