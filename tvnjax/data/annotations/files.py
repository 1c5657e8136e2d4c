"""Annotation files: which of them are meant, their lines, rows and JSON, and the names in them."""

import csv
import re
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from tvnjax.core.errors import InvalidInputError, did_you_mean
from tvnjax.core.untrusted import MIB, NotJsonError, parse_json, read_lines, read_text
from tvnjax.data.manifest import MAX_BYTES, check_label
from tvnjax.data.naming import SPLIT_NAMES

ANNOTATION_JSON_LIMIT = 64 * MIB
"""Bytes; the largest known, the training clips of Something-Something V2, takes some 40 MB."""
MAX_CLASSES = 10_000
_WHAT = "an annotation file"
_CONTROL = re.compile("[\x00-\x1f\x7f-\x9f\u2028\u2029]")
_MAX_NAME = 250
"""Bytes of a file's name without suffix; file systems take 255."""
_KINDS = {
    "labels": ("labels", "label", "categories", "classind"),
    "train": (*SPLIT_NAMES["train"], "trainset", "trainingset"),
    "val": (*SPLIT_NAMES["val"], "validate", "valset", "validationset"),
    "test": (*SPLIT_NAMES["test"], "testset", "testingset"),
}


def chosen_files(files: Sequence[Path], names: re.Pattern[str], expected: str) -> list[Path]:
    """The files given, and of a folder given those whose name fits, in the order of their names.

    Raises:
      InvalidInputError: there is no such file, a folder holds none that fits, or a file's name does not fit.
    """
    chosen: list[Path] = []
    for path in files:
        if not path.exists():
            raise InvalidInputError(f"the files must be {expected}, but there is no {str(path)!r}; check the path")
        try:
            here = sorted(p for p in path.iterdir() if names.fullmatch(p.name)) if path.is_dir() else [path]
        except OSError as error:
            raise InvalidInputError(f"cannot list {str(path)!r}: {error.strerror}; check permissions") from None
        if not here:
            raise InvalidInputError(f"the files must be {expected}, but the folder {str(path)!r} has none; check it")
        chosen += here
    for path in chosen:
        if not names.fullmatch(path.name):
            raise InvalidInputError(f"the files must be {expected}, but got {path.name!r}; leave it out or rename it")
    return list(dict.fromkeys(chosen))


def kind_of_file(path: Path, *, labels: str) -> str:
    """``labels``, ``train``, ``val`` or ``test``, by the first word of the file's name that says so.

    Raises:
      InvalidInputError: no word does.
    """
    for word in re.split(r"[^a-z]+", path.name.lower()):
        for kind, words in _KINDS.items():
            if word in words:
                return kind
    raise InvalidInputError(
        f"a file's name must say what is in it (train, validation, test, or {labels}), but got {path.name!r}; rename it"
    )


def annotation_lines(path: Path) -> Iterator[tuple[str, str]]:
    """Place (for messages) and text of each line that is not blank, without spaces around it.

    Raises:
      InvalidInputError: the file cannot be read, is too large, or a line is no UTF-8 or has control characters.
    """
    for number, line in read_lines(path, _WHAT, limit=MAX_BYTES, cure="check the file"):
        where = f"{path.name!r} line {number}"
        try:
            text = line.decode("utf-8-sig" if number == 1 else "utf-8").rstrip("\r\n")
        except UnicodeDecodeError as error:
            raise InvalidInputError(
                f"{_WHAT} must be UTF-8 text, but {where} has the byte 0x{error.object[error.start]:02x}; "
                "save it in UTF-8"
            ) from None
        if found := _CONTROL.search(text):
            raise InvalidInputError(
                f"a line must be plain text, but {where} has the control character {found.group()!r}; check the file"
            )
        if text.strip():
            yield where, text.strip()


def annotation_rows(path: Path, required: Sequence[str]) -> Iterator[tuple[str, dict[str, str]]]:
    """Place and cells, by column, of each row of a CSV file that has a header.

    Raises:
      InvalidInputError: see :func:`annotation_lines`; or the header lacks a column, or a row is none of this header.
    """
    header: list[str] = []
    for where, line in annotation_lines(path):
        cells = [cell.strip() for cell in csv_cells(line, where)]
        if not header:
            header = cells
            for column in required:
                if header.count(column) != 1:
                    raise InvalidInputError(
                        f"the first line must name the columns {', '.join(required)}, each once, but {where} has "
                        f"{line[:300]!r}{did_you_mean(column, header)}; give the file as it was published"
                    )
            continue
        if len(cells) != len(header):
            raise InvalidInputError(
                f"each row must have the {len(header)} fields of the header, but {where} has {len(cells)}; "
                "check the file"
            )
        yield where, dict(zip(header, cells))


def csv_cells(line: str, where: str) -> list[str]:
    """The cells of one line of CSV."""
    try:
        return next(csv.reader([line], strict=True))
    except csv.Error as error:
        raise InvalidInputError(
            f"a line must be well-formed CSV, but {where} is not: {error}; check the file"
        ) from None


def annotation_json(path: Path) -> Any:
    """What a JSON file holds.

    Raises:
      InvalidInputError: the file cannot be read, is too large, or holds no JSON.
    """
    text = read_text(path, _WHAT, limit=ANNOTATION_JSON_LIMIT)
    try:
        return parse_json(text.removeprefix("\ufeff"))
    except NotJsonError as error:
        raise InvalidInputError(f"the file must hold JSON, but {path.name!r} does not ({error}); check it") from None


def add_class(classes: set[str], label: str, where: str) -> None:
    """Takes one more class.

    Raises:
      InvalidInputError: it is no label, or there are too many.
    """
    classes.add(check_label(label, where))
    if len(classes) > MAX_CLASSES:
        raise InvalidInputError(f"a set has at most {MAX_CLASSES:,} classes, but {where} has more; check the file")


def stem(name: str, where: str) -> str:
    """A file's name without suffix.

    Raises:
      InvalidInputError: it is no name of a file with suffix, or one with folders.
    """
    before, _, suffix = name.rpartition(".")
    if not (before and suffix.isascii() and suffix.isalnum()):
        raise InvalidInputError(
            f"a video's name must end in a suffix such as .avi, but {where} has {name!r:.300}; check the file"
        )
    return component(before, where)


def component(name: str, where: str) -> str:
    """Returns ``name``; raises InvalidInputError unless it is that of one file or folder, without any above it."""
    plain = name == name.strip() and not name.startswith(".") and not set(name) & {"/", "\\"}
    if not (name and plain) or _CONTROL.search(name) or len(name.encode(errors="replace")) > _MAX_NAME:
        raise InvalidInputError(
            f"a name must be that of one file or folder, without a path, but {where} has {name!r:.300}; check the file"
        )
    return name
