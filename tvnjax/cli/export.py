"""``tvnjax export``."""

import dataclasses
from pathlib import Path
from typing import Annotated

import tyro

from tvnjax.cli.options import parse_command
from tvnjax.export import ExportFormat
from tvnjax.space.network import HeadKind


@dataclasses.dataclass(frozen=True, kw_only=True)
class ExportOptions:
    """Writes a trained network as a file another runtime runs, with a description (JSON) beside it."""

    genotype: Annotated[Path, tyro.conf.Positional]
    """The network: a file of a run's genotypes/."""
    checkpoint: Path
    """Its weights: the folder of the same name in the run's checkpoints/."""
    to: ExportFormat = "onnx"
    """stablehlo loads again in JAX, without this package's code."""
    out: Path | None = None
    """The file. Default: the checkpoint's name, here."""
    classes: tuple[str, ...] | None = None
    """Names in the order of the scores. Default: those of the run the checkpoint lies in."""
    head: HeadKind | None = None
    """How scores are pooled. Default: as in the run the checkpoint lies in."""


def export_command(argv: list[str]) -> int:
    options = parse_command(ExportOptions, argv, prog="tvnjax export")
    from tvnjax.export.export_network import export_network
    from tvnjax.space.genotype import read_genotype

    exported = export_network(
        read_genotype(options.genotype), options.checkpoint, options.to, options.out, options.classes, options.head
    )
    print(exported.path)
    print(f"scores of one clip of noise differ from JAX's by {exported.difference:.1e} at most")
    return 0
