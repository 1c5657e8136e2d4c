"""Packages of the ``export`` extra, imported when they are first needed."""

import importlib
from types import ModuleType

from tvnjax.core.errors import InvalidInputError

INSTALL = "pip install 'tvnjax[export]'"

CONVERTER = "pip install --no-deps litert-converter xdsl==0.28.0 ordered-set lark"
"""By itself: a package it depends on asks for an older typing-extensions than tyro does, and works with the newer."""

OWN_LAYERS = "pip install --no-deps jax2onnx==0.17.1 onnx-ir==1.1.0 sympy mpmath"
"""For own layers in ONNX. By itself: it asks for an older orbax-checkpoint, which it does not need here."""


def optional_package(name: str, what: str) -> ModuleType:
    """Imports a package of the ``export`` extra.

    Raises:
        InvalidInputError: it is not installed.
    """
    try:
        return importlib.import_module(name)
    except ImportError as error:
        # LiteRT runs nothing that was not converted for it.
        install = f"{INSTALL} && {CONVERTER}" if name.startswith(("litert_converter", "ai_edge_litert")) else INSTALL
        install = f"{INSTALL} && {OWN_LAYERS}" if name == "jax2onnx" else install
        raise InvalidInputError(f"{what} needs the package {name}, which is missing ({error}): {install}") from None
