"""``tvnjax export``."""

import dataclasses
from pathlib import Path
from typing import Annotated

import tyro

from tvnjax.cli.options import parse_command
from tvnjax.cli.output import OutputOptions
from tvnjax.core.printable import say
from tvnjax.export import ExportFormat
from tvnjax.graph import HeadKind


@dataclasses.dataclass(frozen=True, kw_only=True)
class ExportOptions(OutputOptions):
    """Writes a trained network as a file another runtime runs, with a description (JSON) beside it."""

    network: Annotated[str, tyro.conf.Positional]
    """A file of a run's genotypes/, or a name ('tvnjax zoo' lists them)."""
    checkpoint: Path
    """Its weights: the folder of the same name in the run's checkpoints/."""
    frames: int | None = None
    """Frames of a clip. Default: as it was trained; others are refused."""
    image_size: int | None = None
    """Pixels of a frame's side, likewise."""
    to: ExportFormat = "onnx"
    """stablehlo loads again in JAX, without this package's code."""
    out: Path | None = None
    """The file. Default: the checkpoint's name, here."""
    classes: tuple[str, ...] | None = None
    """Names in the order of the scores, where the checkpoint does not say (version 0.1, outside its run)."""
    head: HeadKind | None = None
    """How a Tiny Video Network pools its scores, likewise."""
    force: bool = False
    """Replace files that are there."""


def export_command(argv: list[str]) -> int:
    options = parse_command(ExportOptions, argv, prog="tvnjax export", flags=True)
    from tvnjax.export.export_network import export_network
    from tvnjax.training.exporting import network_to_export

    saved = network_to_export(
        options.network,
        options.checkpoint,
        classes=options.classes,
        head=options.head,
        num_frames=options.frames,
        image_size=options.image_size,
    )
    exported = export_network(saved.trained, saved.weights, options.to, options.out, force=options.force)
    value = {"path": str(exported.path), "difference": float(exported.difference)}
    options.result(value, lambda: say(exported.path))
    options.remark(f"scores of one clip of noise differ from JAX's by {exported.difference:.1e} at most")
    return 0
