"""ONNX Runtime on CPU."""

import time
from typing import Any

import numpy as np

from tvnjax.export.onnx import onnx_network, onnx_unit
from tvnjax.export.optional import optional_package
from tvnjax.graph import Network, Unit
from tvnjax.latency.runtimes import Prepared
from tvnjax.nn.child import Child, UnitModule
from tvnjax.nn.parts import Initializer


class OnnxRuntime:
    """See ``Runtime``. All of the runtime's graph optimisations are on, as they are by default.

    Raises:
        InvalidInputError: a package of the ``export`` extra is missing.
    """

    def __init__(self, threads: int):
        self._library = optional_package("onnxruntime", "the runtime onnxruntime")
        optional_package("onnx", "the runtime onnxruntime")
        self._threads = threads

    @property
    def description(self) -> dict[str, Any]:
        return {
            "runtime": "onnxruntime",
            "runtime_version": self._library.__version__,
            "backend": "cpu",
            "device": "cpu",
            "threads": self._threads,
            "batch": 1,
        }

    @property
    def conditions(self) -> dict[str, Any]:
        return {}

    def network(self, network: Network) -> Prepared:
        start = time.monotonic()
        return self._prepared(onnx_network(network, Child(network, form="plain"), {}), start)

    def unit(self, unit: Unit) -> Prepared:
        start = time.monotonic()
        return self._prepared(onnx_unit(unit, UnitModule(unit, Initializer(0), "plain")), start)

    def _prepared(self, content: bytes, start: float) -> Prepared:
        options = self._library.SessionOptions()
        options.intra_op_num_threads, options.inter_op_num_threads = self._threads, 1
        session = self._library.InferenceSession(content, options, providers=["CPUExecutionProvider"])
        feed = {given.name: np.full(given.shape, 0.5, np.float32) for given in session.get_inputs()}
        return Prepared(call=lambda: session.run(None, feed), compile_seconds=time.monotonic() - start)
