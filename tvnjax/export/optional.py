"""Packages of the ``export`` extra, imported when they are first needed."""

import importlib
from types import ModuleType

from tvnjax.core.errors import InvalidInputError

INSTALL = "pip install 'tvnjax[export]'"


def optional_package(name: str, what: str) -> ModuleType:
    """Imports a package of the ``export`` extra.

    Raises:
        InvalidInputError: it is not installed.
    """
    try:
        return importlib.import_module(name)
    except ImportError as error:
        raise InvalidInputError(f"{what} needs the package {name}, which is missing ({error}): {INSTALL}") from None
