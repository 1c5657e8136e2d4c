"""Something-Something V2 (Goyal et al. 2017): JSON files of labels, training, validation and test clips.

Labels are ``{"Pushing something up": "0", ...}``, clips ``[{"id", "label", "template", "placeholders"}, ...]``, where
``template`` is the class with its objects in brackets (``Pushing [something] up``); test clips have an id alone.
Videos are ``ID.webm``.
"""

import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from tvnjax.core.errors import InvalidInputError, did_you_mean
from tvnjax.data.annotations.clips import AnnotatedClip, Annotations
from tvnjax.data.annotations.files import add_class, annotation_json, chosen_files, kind_of_file

_FILE = re.compile(r".+\.json")
_ID = re.compile(r"[0-9]{1,12}")


def read_something(files: Sequence[Path]) -> Annotations:
    """The clips of the files.

    Raises:
      InvalidInputError: a file or an entry breaks the layout, or the labels are missing.
    """
    chosen = chosen_files(files, _FILE, "Something-Something's JSON files")
    kinds = {path: kind_of_file(path, labels="labels") for path in chosen}
    labels: set[str] = set()
    for path in (path for path, kind in kinds.items() if kind == "labels"):
        _read_labels(annotation_json(path), repr(path.name), labels)
    if not labels:
        raise InvalidInputError("classes are read from the labels' JSON file, but none is given; give it too")
    annotations = Annotations()
    for path, kind in kinds.items():
        if kind == "labels":
            continue
        entries = annotation_json(path)
        if not isinstance(entries, list):
            raise InvalidInputError(
                f"clips must be a JSON list of objects, but {path.name!r} holds something else; check the file"
            )
        for number, entry in enumerate(entries, start=1):
            _read_entry(entry, kind, labels, f"{path.name!r} entry {number}", annotations)
    return annotations


def _read_labels(found: Any, where: str, labels: set[str]) -> None:
    if not (isinstance(found, dict) and found):
        raise InvalidInputError(f"labels must be a JSON object of classes, but {where} is none; check the file")
    for label in found:
        add_class(labels, _class(label), where)


def _class(template: str) -> str:
    return template.replace("[", "").replace("]", "").strip()


def _read_entry(entry: Any, split: str, labels: set[str], where: str, annotations: Annotations) -> None:
    identity = entry.get("id") if isinstance(entry, Mapping) else None
    if not (isinstance(identity, str) and _ID.fullmatch(identity)):
        raise InvalidInputError(
            f"each clip must be an object with an id of up to 12 digits in quotes, but {where} has "
            f"{repr(entry)[:200]}; check the file"
        )
    if split == "test" and "template" not in entry:
        annotations.left_out["without a label"] += 1
        return
    template = entry.get("template")
    label = _class(template) if isinstance(template, str) else ""
    if label not in labels:
        raise InvalidInputError(
            f"the template must be one of the labels, but {where} has {repr(template)[:300]}"
            f"{did_you_mean(label, labels)}; give files that belong together"
        )
    annotations.add(AnnotatedClip(name=identity, label=label, split=split), where)
