"""LiteRT (TensorFlow Lite) with XNNPACK on CPU: what phones run."""

import importlib.metadata
import time
from typing import Any

import numpy as np

from tvnjax.export.formats import tflite_program
from tvnjax.export.optional import optional_package
from tvnjax.export.program import export_program, named_inputs, plain_forward
from tvnjax.graph import Network, Unit
from tvnjax.latency.runtimes import Prepared
from tvnjax.nn.child import UnitModule
from tvnjax.nn.parts import Initializer


class LiteRt:
    """See ``Runtime``. A call is one run of the interpreter; its inputs lie in it already.

    Raises:
        InvalidInputError: a package of the ``export`` extra is missing.
    """

    def __init__(self, threads: int):
        self._interpreter = optional_package("ai_edge_litert.interpreter", "the runtime litert").Interpreter
        optional_package("litert_converter", "the runtime litert")
        self._threads = threads

    @property
    def description(self) -> dict[str, Any]:
        version = importlib.metadata.version("ai-edge-litert")
        return {"runtime": "litert", "runtime_version": version, "backend": "cpu", "device": "cpu"} | {
            "threads": self._threads,
            "batch": 1,
        }

    @property
    def conditions(self) -> dict[str, Any]:
        return {}

    def network(self, network: Network) -> Prepared:
        start = time.monotonic()
        program = export_program(network)
        return self._prepared(tflite_program(program.forward, program.inputs), start)

    def unit(self, unit: Unit) -> Prepared:
        start = time.monotonic()
        module = UnitModule(unit, Initializer(0), "plain")
        content = tflite_program(plain_forward(module, train=False), named_inputs(unit.in_shapes))
        return self._prepared(content, start)

    def _prepared(self, content: bytes, start: float) -> Prepared:
        interpreter = self._interpreter(model_content=content, num_threads=self._threads)
        interpreter.allocate_tensors()
        for given in interpreter.get_input_details():
            # Not zeros: a product with zeros may be skipped.
            interpreter.set_tensor(given["index"], np.full(given["shape"], 0.5, np.float32))
        return Prepared(call=interpreter.invoke, compile_seconds=time.monotonic() - start)
