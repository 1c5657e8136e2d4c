"""StableHLO text to TFLite: ``python -m tvnjax.export.tflite_worker SOURCE TARGET INPUT...`` (see ``formats``)."""

import importlib
import sys
from pathlib import Path
from typing import Any


def convert(text: str, inputs: list[str]) -> bytes:
    """A module of one function named ``main``, whose arguments get these names, as a TFLite file."""
    # Imported by name: the package's own type stubs leave out what is used here.
    ir: Any = importlib.import_module("litert_converter.mlir.ir")
    passmanager: Any = importlib.import_module("litert_converter.mlir.passmanager")
    api: Any = importlib.import_module("litert_converter.mlir._mlir_libs.converter_api_ext")

    context = ir.Context()
    api.prepare_mlir_context(context)
    with context:
        module: Any = ir.Module.parse(text)
        names = {"input_names": inputs, "output_names": ["scores"]}
        api.set_signature(module.operation, signature_name="serving_default", **names)
        module = api.merge_modules([module])
        config = api.ConvertToTFLConfig()
        config.model_origin_framework = "JAX"
        config.unsafe_fuse_dynamic_shaped_broadcast = True
        api.run_convert_to_tfl_passes(module, passmanager.PassManager(), config)
        operation = module.operation if isinstance(module, ir.Module) else module
        return bytes(api.export_flatbuffer_to_bytes(operation))


if __name__ == "__main__":
    Path(sys.argv[2]).write_bytes(convert(Path(sys.argv[1]).read_text(encoding="utf-8"), sys.argv[3:]))
