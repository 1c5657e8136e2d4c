"""UCF101 (Soomro et al. 2012): ``classInd.txt``, and ``trainlist0N.txt`` and ``testlist0N.txt`` for three folds.

A line of classInd is ``NUMBER CLASS``, of a training list ``CLASS/v_CLASS_gGG_cCC.avi NUMBER``; in a test list the
number is missing, and the class is the folder. The clips of a class come from 25 groups ``gGG``; those of one group
share their background, their actors or both.
"""

import re
from collections.abc import Sequence
from pathlib import Path

from tvnjax.core.errors import InvalidInputError, did_you_mean
from tvnjax.data.annotations.clips import AnnotatedClip, Annotations
from tvnjax.data.annotations.files import add_class, annotation_lines, chosen_files, component, stem

_FILE = re.compile(r"classInd\.txt|(?P<split>train|test)list0(?P<fold>[123])\.txt")
_GROUP = re.compile(r"(?P<group>.*_g\d+)_c\d+")


def read_ucf101(files: Sequence[Path], fold: int) -> Annotations:
    """The clips of one fold.

    Raises:
      InvalidInputError: a file or a line breaks the layout, or one of the three files is missing.
    """
    expected = "UCF101's classInd.txt, trainlist0N.txt and testlist0N.txt"
    wanted: dict[str, Path] = {}
    for path in chosen_files(files, _FILE, expected):
        match = _FILE.fullmatch(path.name)
        assert match is not None, "chosen by this pattern"
        if match["split"] is None or int(match["fold"]) == fold:
            wanted[match["split"] or "classes"] = path
    for kind, name in (("classes", "classInd"), ("train", f"trainlist0{fold}"), ("test", f"testlist0{fold}")):
        if kind not in wanted:
            raise InvalidInputError(f"fold {fold} is read from three files, but {name}.txt is missing; give it too")
    classes = _classes(wanted["classes"])
    annotations = Annotations()
    for split in ("train", "test"):
        for where, line in annotation_lines(wanted[split]):
            annotations.add(_clip(line, split, classes, where), where)
    return annotations


def _classes(path: Path) -> dict[str, str]:
    """Number of each class."""
    labels: set[str] = set()
    numbers: set[str] = set()
    classes: dict[str, str] = {}
    for where, line in annotation_lines(path):
        number, _, label = line.partition(" ")
        if not (number.isascii() and number.isdigit() and label) or label in labels or number in numbers:
            raise InvalidInputError(
                f"a line must be a number and a class, each once, but {where} has {line!r:.300}; check the file"
            )
        add_class(labels, component(label, where), where)
        numbers.add(number)
        classes[label] = number
    return classes


def _clip(line: str, split: str, classes: dict[str, str], where: str) -> AnnotatedClip:
    path, _, number = line.rpartition(" ") if split == "train" else (line, "", "")
    label, slash, file = path.rstrip().partition("/")
    if not slash or (split == "train" and not number.isdigit()):
        form = "CLASS/NAME.avi" + " and the number of the class" * (split == "train")
        raise InvalidInputError(f"a line must be {form}, but {where} has {line!r:.300}; check the file")
    if label not in classes:
        raise InvalidInputError(
            f"each class must be in classInd.txt, but {where} has {label!r:.300}{did_you_mean(label, classes)}; "
            "give files that belong together"
        )
    if split == "train" and number != classes[label]:
        raise InvalidInputError(
            f"the number must be that of the class, but {where} has {number:.20} and classInd.txt gives {label!r} "
            f"{classes[label]:.20}; give files that belong together"
        )
    name = stem(file, where)
    group = _GROUP.fullmatch(name)
    source = group["group"] if group else name
    return AnnotatedClip(name=name, label=label, split=split, folder=label, source=source)
