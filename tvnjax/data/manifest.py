"""Reads which videos, spans and labels a manifest (CSV) names."""

import csv
import unicodedata
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from tvnjax.core.errors import InvalidInputError, did_you_mean
from tvnjax.core.outside import MIB
from tvnjax.data.recipe import SPLITS

_REQUIRED = ("path", "label")
_OPTIONAL = ("start_frame", "end_frame", "split")
_ALIASES = {"valid": "val", "validation": "val"}
MAX_BYTES = 128 * MIB
"""Of a manifest; one of a million clips has some sixty."""
MAX_ROWS = 2_000_000
_MAX_LABEL = 255
_MAX_FRAME = 10**9  # a year of video; anything larger is a slip of the pen


@dataclass(frozen=True, kw_only=True)
class LabelledSpan:
    """One clip that the input names."""

    path: str
    """Relative to the folder of the data, with forward slashes."""
    label: str
    start: int = 0
    end: int | None = None
    """One past the last frame; None: to the end of the video."""
    split: str = ""
    """train, val or test; empty: the input names none."""

    @property
    def name(self) -> str:
        """``videos/a.mp4[22:27]``, in letters any terminal and file can take."""
        whole = self.start == 0 and self.end is None
        span = "" if whole else f"[{self.start}:{'' if self.end is None else self.end}]"
        return self.path.encode(errors="backslashreplace").decode() + span


def read_manifest(manifest: Path) -> list[LabelledSpan]:
    """Reads a CSV file with the columns ``path,label[,start_frame,end_frame][,split]``.

    Other columns are ignored; an empty start or end means the start or end of the video.

    Raises:
      InvalidInputError: there is no such file, or it or one of its rows breaks a rule.
    """
    if not manifest.is_file():
        what = "is a folder" if manifest.is_dir() else "does not exist"
        raise InvalidInputError(f"the manifest must be a CSV file, but {str(manifest)!r} {what}; check --data.manifest")
    try:
        size = manifest.stat().st_size
        if size > MAX_BYTES:
            raise InvalidInputError(
                f"a manifest has at most {MAX_BYTES:,} bytes, but {str(manifest)!r} has {size:,}; split it"
            )
        with manifest.open(encoding="utf-8-sig", newline="") as file:
            spans = list(_read_rows(manifest, csv.reader(file, strict=True)))
    except UnicodeDecodeError as error:
        raise InvalidInputError(
            f"a manifest must be UTF-8 text, but {str(manifest)!r} has the byte 0x{error.object[error.start]:02x} "
            f"at position {error.start}; save it as CSV in UTF-8"
        ) from None
    except csv.Error as error:
        raise InvalidInputError(f"{str(manifest)!r} is no well-formed CSV: {error}; save it again as CSV") from None
    except OSError as error:
        raise InvalidInputError(f"cannot read {str(manifest)!r}: {error.strerror}; check its permissions") from None
    if not spans:
        raise InvalidInputError(f"a manifest must name clips, but {str(manifest)!r} has no row; add some")
    return spans


def _read_rows(manifest: Path, rows: Iterator[list[str]]) -> Iterator[LabelledSpan]:
    header = next(rows, None)
    if header is None:
        raise InvalidInputError(f"a manifest must name clips, but {str(manifest)!r} is empty; add path,label rows")
    columns = _columns(manifest, [name.strip() for name in header])
    paths: dict[str, str] = {}  # following links takes a while, and a video may have many rows
    for number, row in enumerate(rows, start=2):
        if not row:
            continue  # a blank line
        if number > MAX_ROWS:
            raise InvalidInputError(
                f"a manifest has at most {MAX_ROWS:,} rows, but {str(manifest)!r} has more; split it"
            )
        where = f"{manifest.name!r} row {number}"
        if len(row) != len(header):
            raise InvalidInputError(
                f"each row must have the {len(header)} fields of the header, but {where} has {len(row)}; "
                "put names that contain a comma in double quotes"
            )
        cell = {name: row[i] for name, i in columns.items()}
        start = _frame(cell.get("start_frame", ""), "start_frame", where)
        end = _frame(cell.get("end_frame", ""), "end_frame", where)
        if end is not None and end <= (start or 0):
            raise InvalidInputError(
                f"end_frame must be larger than start_frame, but {where} has {start or 0} to {end}; "
                "end_frame is one past the last frame"
            )
        if cell["path"] not in paths:
            paths[cell["path"]] = _inside(manifest.parent, cell["path"], where)
        yield LabelledSpan(
            path=paths[cell["path"]],
            label=check_label(cell["label"].strip(), where),
            start=start or 0,
            end=end,
            split=_split(cell["split"], where) if "split" in columns else "",
        )


def _columns(manifest: Path, header: Sequence[str]) -> dict[str, int]:
    for name in _REQUIRED:
        if name not in header:
            near = next((f" ({other!r} may be it, misspelt)" for other in header if did_you_mean(other, [name])), "")
            raise InvalidInputError(
                f"a manifest must have the columns path and label, but {str(manifest)!r} lacks {name!r} and has "
                f"{', '.join(map(repr, header)):.300}{near}; rename or add the column"
            )
    for name, count in Counter(header).items():
        if count > 1 and name in (*_REQUIRED, *_OPTIONAL):
            raise InvalidInputError(
                f"each column may appear once, but {str(manifest)!r} has {name!r} {count} times; remove one"
            )
    return {name: header.index(name) for name in (*_REQUIRED, *_OPTIONAL) if name in header}


def _frame(text: str, column: str, where: str) -> int | None:
    text = text.strip()
    if not text:
        return None
    if not (text.isascii() and text.isdigit() and len(text) < 12 and int(text) <= _MAX_FRAME):
        raise InvalidInputError(
            f"{column} must be a whole number of at least 0 and at most {_MAX_FRAME}, but {where} has {text!r:.60}; "
            "count frames from 0, or leave it empty"
        )
    return int(text)


def _split(text: str, where: str) -> str:
    split = _ALIASES.get(text.strip(), text.strip())
    if split not in SPLITS:
        raise InvalidInputError(
            f"split must be train, val or test, but {where} has {text!r:.60}{did_you_mean(split, SPLITS)}; "
            "name one of them, or remove the column to have the videos split here"
        )
    return split


def check_label(label: str, where: str) -> str:
    """Returns ``label``; raises InvalidInputError where it is empty, too long, has a line break or another control
    character, or is no valid text."""
    control = any(unicodedata.category(letter) == "Cc" for letter in label)
    if control or len(label.splitlines()) != 1 or label.encode(errors="ignore").decode() != label:
        raise InvalidInputError(f"a label must be one line of text, but {where} has {label!r:.300}; rename it")
    if len(label) > _MAX_LABEL:
        raise InvalidInputError(
            f"a label has at most {_MAX_LABEL} letters, but {where} has one of {len(label)}; rename it"
        )
    return label


def _inside(root: Path, path: str, where: str) -> str:
    pure = PurePosixPath(path)
    if not path.strip() or "\0" in path:
        raise InvalidInputError(f"path must name a video, but {where} has {path!r:.300}; give a path or remove the row")
    if pure.is_absolute() or ".." in pure.parts or not stays_inside(root, path):
        raise InvalidInputError(
            f"a path must stay inside the manifest's folder, but {where} has {path!r:.300}; "
            "copy the videos below that folder and name them relative to it"
        )
    return str(pure)


def stays_inside(root: Path, path: str) -> bool:
    """Whether ``root / path`` lies below ``root`` once every link is followed."""
    try:
        return (root / path).resolve().is_relative_to(root.resolve())
    except (OSError, RuntimeError):  # a circle of links
        return False
