"""Conversions of an exported program. Each asks for its packages only when it is called."""

import importlib
import json
import subprocess
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path
from types import ModuleType
from typing import Any

import jax

from tvnjax.core.errors import InvalidInputError
from tvnjax.export import ExportFormat
from tvnjax.export.program import ExportProgram

INSTALL = "pip install 'tvnjax[export]'"


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


def optional_package(name: str, what: str) -> ModuleType:
    """Imports a package of the ``export`` extra.

    Raises:
        InvalidInputError: it is not installed.
    """
    try:
        return importlib.import_module(name)
    except ImportError as error:
        raise InvalidInputError(f"{what} needs the package {name}, which is missing ({error}): {INSTALL}") from None


def _exported(program: ExportProgram, platforms: tuple[str, ...]) -> Any:
    return jax.export.export(jax.jit(program.forward), platforms=platforms)(program.clip)


def _stablehlo(program: ExportProgram, metadata: dict[str, Any]) -> bytes:
    optional_package("flatbuffers", "exporting to StableHLO")
    return bytes(_exported(program, ("cpu", "cuda", "tpu")).serialize())


def _onnx(program: ExportProgram, metadata: dict[str, Any]) -> bytes:
    to_onnx = optional_package("jax2onnx", "exporting to ONNX").to_onnx
    model = to_onnx(program.forward, [program.clip])
    for key, value in metadata.items():
        entry = model.metadata_props.add()
        entry.key, entry.value = key, value if isinstance(value, str) else json.dumps(value)
    return model.SerializeToString()


def _tflite(program: ExportProgram, metadata: dict[str, Any]) -> bytes:
    """By way of StableHLO text and litert-converter, in a process of its own: that package's interface is not a
    documented one, and what it does not like it answers with a crash."""
    optional_package("litert_converter", "exporting to TFLite")
    with tempfile.TemporaryDirectory() as folder:
        source, target = Path(folder) / "program.mlir", Path(folder) / "program.tflite"
        source.write_text(_exported(program, ("cpu",)).mlir_module(), encoding="utf-8")
        command = [sys.executable, "-m", "tvnjax.export.tflite_worker", str(source), str(target)]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        if done.returncode or not target.exists():
            lines = [line for line in done.stderr.splitlines() if line.strip()]
            reason = lines[-1] if lines else f"it ended with status {done.returncode}"
            raise InvalidInputError(
                f"a TFLite export is a network litert-converter can express; it refused this one ({reason}): choose "
                "--to onnx or stablehlo"
            )
        return target.read_bytes()
