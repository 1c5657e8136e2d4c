"""From a genotype and a checkpoint to a file beside its description."""

import dataclasses
from pathlib import Path

import numpy as np
from flax import nnx

from tvnjax.core.errors import InvalidInputError
from tvnjax.core.outputs import write_output
from tvnjax.core.to_json import json_file
from tvnjax.export import ExportFormat
from tvnjax.export.formats import convert
from tvnjax.export.metadata import ExportMetadata
from tvnjax.export.program import export_program
from tvnjax.export.run_file import largest_difference
from tvnjax.nn.saved_weights import load_weights
from tvnjax.zoo.trained import TrainedNetwork

TOLERANCE = 1e-4
"""Most that a score of an exported network may differ from the network's own, on normalised noise, as a part of the
largest score (or of 1, where all are smaller)."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class Exported:
    """What was written."""

    path: Path
    description: Path
    """JSON: classes, how a clip is cut from a video, input, normalisation, genotype."""
    difference: float
    """Largest difference of a score from JAX's, for one clip of noise; a part of the largest score or of 1."""


def export_network(
    trained: TrainedNetwork, checkpoint: Path, to: ExportFormat, out: Path | None = None, *, force: bool = False
) -> Exported:
    """Writes a trained network as a file of another runtime, runs it there, and compares.

    Args:
        trained: the network, its classes, and how the clips it was trained on were made.
        checkpoint: its weights, a folder of a run's ``checkpoints/``.
        to: the format.
        out: the file; default: the checkpoint's name with the format's ending, in the working directory.
        force: replace files that are there.

    Raises:
        InvalidInputError: the checkpoint is of another network, a package is not installed, or the file would replace
            another, cannot be written, or does not compute what the network does.
    """
    _, params, stats = load_weights(checkpoint, trained)
    return export_weights(trained, params, stats, to, out or Path(f"{checkpoint.name}.{to}"), force=force)


def export_weights(
    trained: TrainedNetwork, params: nnx.State, stats: nnx.State, to: ExportFormat, path: Path, *, force: bool = False
) -> Exported:
    """``export_network`` of weights that are in memory.

    Args:
        params: of the network's ``Child``.
        stats: its running statistics.
        path: the file; others as for ``export_network``.
    """
    program = export_program(trained.network, params, stats)
    description = ExportMetadata(trained=trained).as_json()
    content = convert(program, to, description)
    rng = np.random.default_rng(0)
    streams = [rng.standard_normal(given.shape).astype(np.float32) for given in program.inputs.values()]
    difference = largest_difference(content, to, program, *streams)
    if not difference <= TOLERANCE:
        raise InvalidInputError(
            f"an exported network's scores are within {TOLERANCE} of JAX's; those in {to} differ by {difference:.2g} "
            "and were not written: choose another format with --to"
        )
    sidecar = Path(f"{path}.json")
    write_output({path: content, sidecar: json_file(description)}, "an export", force=force)
    return Exported(path=path, description=sidecar, difference=difference)
