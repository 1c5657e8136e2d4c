"""Converts StableHLO text to TFLite: ``python -m tvnjax.export.tflite_worker SOURCE TARGET`` (see ``formats``)."""

import sys
from pathlib import Path
from typing import Any


def convert(text: str) -> bytes:
    """A module of one function named ``main`` as a TFLite file."""
    from litert_converter.mlir import ir, passmanager  # type: ignore[import-not-found]
    from litert_converter.mlir._mlir_libs import converter_api_ext as api  # type: ignore[import-not-found]

    context = ir.Context()
    api.prepare_mlir_context(context)
    with context:
        module: Any = ir.Module.parse(text)
        names = {"input_names": ["clip"], "output_names": ["scores"]}
        api.set_signature(module.operation, signature_name="serving_default", **names)
        module = api.merge_modules([module])
        config = api.ConvertToTFLConfig()
        config.model_origin_framework = "JAX"
        config.unsafe_fuse_dynamic_shaped_broadcast = True
        api.run_convert_to_tfl_passes(module, passmanager.PassManager(), config)
        operation = module.operation if isinstance(module, ir.Module) else module
        return bytes(api.export_flatbuffer_to_bytes(operation))


if __name__ == "__main__":
    Path(sys.argv[2]).write_bytes(convert(Path(sys.argv[1]).read_text(encoding="utf-8")))
