"""Jester (Materzynska et al. 2019): CSV files without header, ``ID;Label`` a line, and a file of labels, one a line.

Test clips have an id alone. The set is published as a folder of pictures for each clip (12 a second); a clip is taken
once it is a video ``ID.mp4`` (or of another suffix).
"""

import re
from collections.abc import Sequence
from pathlib import Path

from tvnjax.core.errors import InvalidInputError, did_you_mean
from tvnjax.data.annotations.clips import AnnotatedClip, Annotations
from tvnjax.data.annotations.files import add_class, annotation_lines, chosen_files, kind_of_file

_FILE = re.compile(r".+\.csv")
_ID = re.compile(r"[0-9]{1,12}")


def read_jester(files: Sequence[Path]) -> Annotations:
    """The clips of the files.

    Raises:
      InvalidInputError: a file or a line breaks the layout, or the labels are missing.
    """
    chosen = chosen_files(files, _FILE, "Jester's CSV files")
    kinds = {path: kind_of_file(path, labels="labels") for path in chosen}
    labels: set[str] = set()
    for path in (path for path, kind in kinds.items() if kind == "labels"):
        for where, line in annotation_lines(path):
            add_class(labels, line, where)
    if not labels:
        raise InvalidInputError("classes are read from jester-v1-labels.csv, but no such file is given; give it too")
    annotations = Annotations()
    for path, kind in kinds.items():
        for where, line in annotation_lines(path) if kind != "labels" else ():
            identity, separator, label = (part.strip() for part in line.partition(";"))
            if not _ID.fullmatch(identity) or (not separator and kind != "test"):
                form = "an id of up to 12 digits" + ", ; and a label" * (kind != "test")
                raise InvalidInputError(f"a line must be {form}, but {where} has {line!r:.300}; check the file")
            if not separator:
                annotations.left_out["without a label"] += 1
                continue
            if label not in labels:
                raise InvalidInputError(
                    f"each label must be in the file of labels, but {where} has {label!r:.300}"
                    f"{did_you_mean(label, labels)}; give files that belong together"
                )
            annotations.add(AnnotatedClip(name=identity, label=label, split=kind), where)
    return annotations
