"""Moments in Time (Monfort et al. 2019): ``moments_categories.txt`` and CSV files without header.

A line of the categories is ``NAME,NUMBER``, the first cell of a row ``CLASS/FILE.mp4``; further cells (the class
again, votes) are not read. ``CLASS`` has ``+`` for spaces, or spaces; labels get spaces. A file may have the name of
another class's file, so videos are looked for in the folders of their classes alone.
"""

import re
from collections.abc import Sequence
from pathlib import Path

from tvnjax.core.errors import InvalidInputError, did_you_mean
from tvnjax.data.annotations.clips import AnnotatedClip, Annotations
from tvnjax.data.annotations.files import (
    add_class,
    annotation_lines,
    chosen_files,
    component,
    csv_cells,
    kind_of_file,
    stem,
)

_FILE = re.compile(r".*categories.*\.txt|.*(train|val|test).*\.csv", re.IGNORECASE)


def read_moments(files: Sequence[Path]) -> Annotations:
    """The clips of the files.

    Raises:
      InvalidInputError: a file or a line breaks the layout, or the categories are missing.
    """
    expected = "moments_categories.txt, trainingSet.csv and validationSet.csv"
    chosen = chosen_files(files, _FILE, expected)
    kinds = {path: kind_of_file(path, labels="categories") for path in chosen}
    labels: set[str] = set()
    for path in (path for path, kind in kinds.items() if kind == "labels"):
        for where, line in annotation_lines(path):
            name, comma, number = line.rpartition(",")
            if not (comma and name and number.isascii() and number.isdigit()):
                raise InvalidInputError(
                    f"a line must be a category and its number, but {where} has {line!r:.300}; check the file"
                )
            add_class(labels, _spaced(component(name, where)), where)
    if not labels:
        raise InvalidInputError("classes are read from moments_categories.txt, but no such file is given; give it too")
    annotations = Annotations()
    for path, kind in kinds.items():
        for where, line in annotation_lines(path) if kind != "labels" else ():
            folder, slash, file = csv_cells(line, where)[0].strip().partition("/")
            if not slash:
                raise InvalidInputError(
                    f"a row must begin with CLASS/FILE.mp4, but {where} has {line!r:.300}; check the file"
                )
            label = _spaced(component(folder, where))
            if label not in labels:
                raise InvalidInputError(
                    f"each class must be in the categories, but {where} has {folder!r:.300}"
                    f"{did_you_mean(label, labels)}; give files that belong together"
                )
            annotations.add(AnnotatedClip(name=stem(file, where), label=label, split=kind, folder=label), where)
    return annotations


def _spaced(name: str) -> str:
    return name.replace("+", " ").strip()
