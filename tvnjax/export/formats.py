"""Conversions of an exported program. Each asks for its packages only when it is called."""

import json
import subprocess
import sys
import tempfile
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import jax

from tvnjax.core.errors import InvalidInputError
from tvnjax.export import ExportFormat
from tvnjax.export.onnx import onnx_network
from tvnjax.export.optional import optional_package
from tvnjax.export.program import ExportProgram


def convert(program: ExportProgram, to: ExportFormat, metadata: dict[str, Any]) -> bytes:
    """A program as the contents of a file.

    Args:
        program: what to convert.
        to: ``stablehlo`` (``jax.export``: loads without this package's code), ``onnx``, or ``tflite``.
        metadata: goes into the file where the format has a place for it (ONNX).

    Raises:
        InvalidInputError: a package the format needs is not installed, and how to install it; or the converter to
            TFLite refused the program.
    """
    converters: dict[ExportFormat, Callable[[ExportProgram, dict[str, Any]], bytes]] = {
        "stablehlo": _stablehlo,
        "onnx": _onnx,
        "tflite": _tflite,
    }
    return converters[to](program, metadata)


def _stablehlo(program: ExportProgram, metadata: dict[str, Any]) -> bytes:
    optional_package("flatbuffers", "exporting to StableHLO")
    exported = jax.export.export(jax.jit(program.forward), platforms=("cpu", "cuda", "tpu"))(*program.inputs.values())
    return bytes(exported.serialize())


def _onnx(program: ExportProgram, metadata: dict[str, Any]) -> bytes:
    texts = {key: value if isinstance(value, str) else json.dumps(value) for key, value in metadata.items()}
    return onnx_network(program.network, program.child, texts)


def _tflite(program: ExportProgram, metadata: dict[str, Any]) -> bytes:
    return tflite_program(program.forward, program.inputs)


def tflite_program(forward: Callable[..., Any], inputs: Mapping[str, jax.ShapeDtypeStruct]) -> bytes:
    """A function of arrays as a TFLite file; ``inputs`` are its arguments in order, by the names they have in it.

    By way of StableHLO text and litert-converter, in a process of its own: that package's interface is not a documented
    one, and what it does not like it answers with a crash.

    Raises:
        InvalidInputError: a package is not installed, or the converter refused the program.
    """
    optional_package("flatbuffers", "exporting to TFLite")
    optional_package("litert_converter", "exporting to TFLite")
    with tempfile.TemporaryDirectory() as folder:
        source, target = Path(folder) / "program.mlir", Path(folder) / "program.tflite"
        exported = jax.export.export(jax.jit(forward), platforms=("cpu",))(*inputs.values())
        source.write_text(exported.mlir_module(), encoding="utf-8")
        command = [sys.executable, "-m", "tvnjax.export.tflite_worker", str(source), str(target), *inputs]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        if done.returncode or not target.exists():
            lines = [line for line in done.stderr.splitlines() if line.strip()]
            reason = lines[-1] if lines else f"it ended with status {done.returncode}"
            raise InvalidInputError(
                f"a TFLite export is a network litert-converter can express; it refused this one ({reason}): choose "
                "--to onnx or stablehlo"
            )
        return target.read_bytes()
