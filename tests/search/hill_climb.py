"""The strategy that ``tvnjax.Strategy`` documents, as it stands there, and packages that register strategies."""

import importlib.util
import inspect
import textwrap
from pathlib import Path
from typing import Any

import tvnjax


def documented() -> str:
    """The example of the docstring."""
    text = inspect.getdoc(tvnjax.Strategy) or ""
    lines = text.split("::\n", 1)[1].splitlines()
    end = next(number for number, line in enumerate(lines) if line and not line.startswith(" "))
    return "import tvnjax\n\n" + textwrap.dedent("\n".join(lines[:end]))


def hill_climb(folder: Path) -> Any:
    """The class, from a module of its own."""
    path = folder / "documented_hill_climb.py"
    path.write_text(documented())
    spec = importlib.util.spec_from_file_location(path.stem, path)
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module.HillClimb


def install(folder: Path, package: str, points: dict[str, str], code: str | None = None) -> None:
    """Puts a package into a folder of ``sys.path``: a module ``PACKAGE.py``, and entry points for strategies.

    Args:
        points: value by name, such as ``{"hill_climb": "hills:HillClimb"}``.
        code: the module's. Default: the documented strategy.
    """
    facts = folder / f"{package}-1.0.dist-info"
    facts.mkdir(parents=True)
    (facts / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {package}\nVersion: 1.0\n")
    lines = [f"{name} = {value}\n" for name, value in points.items()]
    (facts / "entry_points.txt").write_text("[tvnjax.strategies]\n" + "".join(lines))
    (folder / f"{package}.py").write_text(documented() if code is None else code)
