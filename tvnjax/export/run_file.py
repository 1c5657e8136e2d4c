"""Running an exported file in its own runtime, to see that it computes what the network does."""

import importlib

import jax
import numpy as np

from tvnjax.export import ExportFormat
from tvnjax.export.optional import optional_package
from tvnjax.export.program import ExportProgram


def run_file(content: bytes, kind: ExportFormat, clip: np.ndarray) -> np.ndarray:
    """Scores ``[1, classes]`` of one normalised clip ``[1, T, H, W, C]``, computed by JAX, ONNX Runtime or LiteRT.

    Raises:
        InvalidInputError: the runtime is not installed.
    """
    if kind == "stablehlo":
        return np.asarray(importlib.import_module("jax.export").deserialize(bytearray(content)).call(clip))
    if kind == "onnx":
        runtime = optional_package("onnxruntime", "running an ONNX file")
        session = runtime.InferenceSession(content, providers=["CPUExecutionProvider"])
        return session.run(None, {session.get_inputs()[0].name: clip})[0]
    interpreter = optional_package("ai_edge_litert.interpreter", "running a TFLite file").Interpreter(
        model_content=content
    )
    interpreter.allocate_tensors()
    interpreter.set_tensor(interpreter.get_input_details()[0]["index"], clip)
    interpreter.invoke()
    return interpreter.get_tensor(interpreter.get_output_details()[0]["index"])


def largest_difference(content: bytes, kind: ExportFormat, program: ExportProgram, clip: np.ndarray) -> float:
    """Largest difference between the file's scores and JAX's for one clip, as a part of the largest score or of 1."""
    ours = np.asarray(jax.jit(program.forward)(clip))
    return float(np.abs(run_file(content, kind, clip) - ours).max() / max(np.abs(ours).max(), 1.0))
