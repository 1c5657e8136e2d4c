"""From a genotype and a checkpoint to a file beside its description."""

import dataclasses
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from flax import nnx

from tvnjax.core.checkpoint import load_state
from tvnjax.core.errors import InvalidInputError
from tvnjax.core.outputs import write_output
from tvnjax.core.plain import json_file
from tvnjax.export import ExportFormat
from tvnjax.export.formats import convert
from tvnjax.export.metadata import ExportMetadata
from tvnjax.export.program import export_program
from tvnjax.export.run_file import largest_difference
from tvnjax.nn.child import Child
from tvnjax.space.network import HeadKind
from tvnjax.zoo.registry import ZooEntry
from tvnjax.zoo.run_facts import classes_and_head

TOLERANCE = 1e-4
"""Most that a score of an exported network may differ from the network's own, on normalised noise, as a part of the
largest score (or of 1, where all are smaller)."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class Exported:
    """What was written."""

    path: Path
    description: Path
    """JSON: classes, input, normalisation, genotype."""
    difference: float
    """Largest difference of a score from JAX's, for one clip of noise; a part of the largest score or of 1."""


def export_network(
    entry: ZooEntry,
    checkpoint: Path,
    to: ExportFormat,
    out: Path | None = None,
    classes: Sequence[str] | None = None,
    head: HeadKind | None = None,
    *,
    force: bool = False,
) -> Exported:
    """Writes a trained network as a file of another runtime, runs it there, and compares.

    Args:
        entry: the network, from ``zoo.resolve``.
        checkpoint: its weights, a folder of a run's ``checkpoints/``.
        to: the format.
        out: the file; default: the checkpoint's name with the format's ending, in the working directory.
        classes: names in the order of the scores; default: those of the run the checkpoint lies in.
        head: of a Tiny Video Network; default: that of the run, or ``mean``.
        force: replace files that are there.

    Raises:
        InvalidInputError: the checkpoint is of another network, names are missing, a package is not installed, or the
            file would replace another, cannot be written, or does not compute what the network does.
    """
    if classes is None or head is None:
        run_classes, run_head = classes_and_head(checkpoint.absolute().parent.parent)
        classes, head = classes or run_classes, head or run_head or "mean"
    if not classes:
        raise InvalidInputError(
            f"an export names its classes; {checkpoint} lies in no finished run that does: give --classes"
        )
    network = entry.network(len(classes), head=head if entry.genotype is not None else None)
    _, params, stats = nnx.split(Child(network), nnx.Param, ...)
    loaded = load_state(checkpoint, {"params": params, "stats": stats})
    program = export_program(network, loaded["params"], loaded["stats"])
    description = ExportMetadata(entry=entry, classes=tuple(classes)).as_json()
    content = convert(program, to, description)
    clip = np.random.default_rng(0).standard_normal(program.clip.shape).astype(np.float32)
    difference = largest_difference(content, to, program, clip)
    if not difference <= TOLERANCE:
        raise InvalidInputError(
            f"an exported network's scores are within {TOLERANCE} of JAX's; those in {to} differ by {difference:.2g} "
            "and were not written: choose another format with --to"
        )
    path = out or Path(f"{checkpoint.name}.{to}")
    sidecar = Path(f"{path}.json")
    write_output({path: content, sidecar: json_file(description)}, "an export", force=force)
    return Exported(path=path, description=sidecar, difference=difference)
