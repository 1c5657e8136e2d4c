"""``tvnjax compare``."""

import dataclasses
from pathlib import Path
from typing import Annotated

import tyro

from tvnjax.cli.options import parse_command
from tvnjax.cli.output import OutputOptions
from tvnjax.core.printable import say


@dataclasses.dataclass(frozen=True, kw_only=True)
class CompareOptions(OutputOptions):
    """Strategies over runs and seeds, from the directories alone: compare.html, compare.md and their figures."""

    runs: Annotated[tuple[Path, ...], tyro.conf.Positional]
    """Finished run directories, each of one seed or of several."""
    out: Path
    """Where to write; made if it is not there."""
    reference: str | None = None
    """Strategy the others are held against. Default: evolution, or the first."""
    force: bool = False
    """Replace an earlier comparison there. Other files stay in any case."""


def compare_command(argv: list[str]) -> int:
    options = parse_command(CompareOptions, argv, prog="tvnjax compare", flags=True)
    from tvnjax.report.comparing.page import write_comparison

    write_comparison(options.runs, options.out, options.reference, force=options.force)
    page = options.out / "compare.html"
    options.result({"page": str(page), "markdown": str(page.with_suffix(".md"))}, lambda: say(page))
    return 0
