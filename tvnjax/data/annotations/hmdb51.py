"""HMDB51 (Kuehne et al. 2011): ``CLASS_test_splitN.txt``, a file for each class and each of three folds.

A line is ``NAME.avi K``: 1 is a training clip, 2 a test clip, 0 is in neither. Clips were cut out of films and
web videos, several of one; ``NAME`` is the source, the class, four properties of the clip and its number.
"""

import re
from collections.abc import Sequence
from pathlib import Path

from tvnjax.core.errors import InvalidInputError
from tvnjax.data.annotations.clips import AnnotatedClip, Annotations
from tvnjax.data.annotations.files import annotation_lines, chosen_files, component, stem

_FILE = re.compile(r"(?P<label>.+)_test_split(?P<fold>[123])\.txt")
_PROPERTIES = re.compile(r"_[a-z]_(cm|nm)_np\d+_(fr|le|ri|ba)_(bad|med|goo)_\d+")
_SPLITS = {"1": "train", "2": "test"}


def read_hmdb51(files: Sequence[Path], fold: int) -> Annotations:
    """The clips of one fold.

    Raises:
      InvalidInputError: a file or a line breaks the layout, or a class has no file for this fold.
    """
    annotations = Annotations()
    labels: dict[str, bool] = {}
    for path in chosen_files(files, _FILE, "HMDB51's CLASS_test_splitN.txt"):
        match = _FILE.fullmatch(path.name)
        assert match is not None, "chosen by this pattern"
        label, here = match["label"], int(match["fold"]) == fold
        labels[label] = labels.get(label, False) or here
        if here:
            _read_class(path, label, annotations)
    for label, found in labels.items():
        if not found:
            raise InvalidInputError(
                f"each class needs its file of fold {fold}, but {label!r} has none; give {label}_test_split{fold}.txt"
            )
    return annotations


def _read_class(path: Path, label: str, annotations: Annotations) -> None:
    for where, line in annotation_lines(path):
        name, _, number = line.rpartition(" ")
        if number not in ("0", *_SPLITS):
            raise InvalidInputError(
                f"a line must be a file's name and 0, 1 or 2, but {where} has {line!r:.300}; check the file"
            )
        name = stem(name.rstrip(), where)
        if number == "0":
            annotations.left_out["in neither split"] += 1
            continue
        before, found, after = name.rpartition(f"_{label}_")
        source = before if found and _PROPERTIES.fullmatch(f"_{after}") else name
        clip = AnnotatedClip(name=name, label=component(label, where), split=_SPLITS[number], source=source)
        annotations.add(clip, where)
