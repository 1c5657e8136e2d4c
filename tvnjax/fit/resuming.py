"""Where a training goes on from: the small file beside its newest checkpoint."""

import dataclasses
from pathlib import Path
from typing import Any

from tvnjax.core.errors import InvalidInputError
from tvnjax.core.run_dir import write_json
from tvnjax.zoo.run_facts import is_file_name, read_object


@dataclasses.dataclass(frozen=True, kw_only=True)
class ResumePoint:
    """A place in a training."""

    step: int
    """Steps that are done."""
    checkpoint: str
    """Name of a folder in ``checkpoints/``."""
    stream: dict[str, Any]
    """Place in the stream of batches, see ``Stream.get_state``."""


def write_resume(path: Path, point: ResumePoint) -> None:
    write_json(path, {"step": point.step, "checkpoint": point.checkpoint, "stream": point.stream})


def read_resume(path: Path) -> ResumePoint:
    """Reads what ``write_resume`` wrote.

    Raises:
        InvalidInputError: the file is missing or damaged.
    """
    told = read_object(path)
    step, checkpoint, stream = (told.get(name) for name in ("step", "checkpoint", "stream"))
    if isinstance(step, bool) or not isinstance(step, int) or not 0 <= step < 2**53:
        raise InvalidInputError(f"step is a whole number of steps; {path} has {step!r:.60}: start anew")
    if not isinstance(checkpoint, str) or not _is_one_name(checkpoint):
        raise InvalidInputError(f"checkpoint is the name of a folder; {path} has {checkpoint!r:.60}: start anew")
    if not isinstance(stream, dict) or "position" not in stream:
        raise InvalidInputError(f"stream is a place in the batches; {path} has {stream!r:.60}: start anew")
    return ResumePoint(step=step, checkpoint=checkpoint, stream=stream)


def _is_one_name(text: str) -> bool:
    return text not in ("", ".", "..") and not set(text) & set("/\\") and is_file_name(text)
