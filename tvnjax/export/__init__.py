"""A network as a file that other runtimes run: StableHLO, ONNX, TFLite."""

from typing import Literal

ExportFormat = Literal["stablehlo", "onnx", "tflite"]
