"""Kinetics-400, -600, -700 (Kay et al. 2017 and later): CSV files with one header.

Columns ``label,youtube_id,time_start,time_end,split``, and more that are not read; the published test files lack
``label``. What is downloaded are, as a rule, clips that were cut to their ten seconds and named
``ID_START_END.mp4`` with six digits for each second; only these are taken. A whole video named ``ID.mp4`` is not: the
seconds would have to become frames, and nothing says whether such a file was cut or not.
"""

import re
from collections.abc import Sequence
from pathlib import Path

from tvnjax.core.errors import InvalidInputError
from tvnjax.data.annotations.clips import AnnotatedClip, Annotations
from tvnjax.data.annotations.files import annotation_rows, chosen_files

_FILE = re.compile(r".+\.csv")
_COLUMNS = ("youtube_id", "time_start", "time_end", "split")
_ID = re.compile(r"[A-Za-z0-9_-]{11}")
_SECONDS = re.compile(r"([0-9]{1,6})(\.0+)?")
_SPLITS = {"train": "train", "val": "val", "validate": "val", "validation": "val", "test": "test"}


def read_kinetics(files: Sequence[Path]) -> Annotations:
    """The clips of some CSV files.

    Raises:
      InvalidInputError: a file or a row breaks the layout.
    """
    annotations = Annotations()
    for path in chosen_files(files, _FILE, "Kinetics' CSV files"):
        for where, row in annotation_rows(path, _COLUMNS):
            split = _SPLITS.get(row["split"])
            if split is None:
                raise InvalidInputError(
                    f"split must be train, val, validate or test, but {where} has {row['split']!r:.60}; check the file"
                )
            start, end = _second(row["time_start"], where), _second(row["time_end"], where)
            if not _ID.fullmatch(row["youtube_id"]) or end <= start:
                raise InvalidInputError(
                    "a row must have a YouTube id of 11 letters, digits, - and _ and end after it starts, but "
                    f"{where} has {row['youtube_id']!r:.60} from {start} to {end}; check the file"
                )
            if not row.get("label"):
                annotations.left_out["without a label"] += 1
                continue
            name = f"{row['youtube_id']}_{start:06d}_{end:06d}"
            clip = AnnotatedClip(name=name, label=row["label"], split=split, whole=row["youtube_id"])
            annotations.add(clip, where)
    return annotations


def _second(text: str, where: str) -> int:
    match = _SECONDS.fullmatch(text)
    if match is None:
        raise InvalidInputError(
            f"times must be whole seconds of at most six digits, but {where} has {text!r:.60}; check the file"
        )
    return int(match[1])
