"""A network as a file that other runtimes run: StableHLO, ONNX, TFLite."""
