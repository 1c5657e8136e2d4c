"""Reads which videos, spans and labels a manifest (CSV) names."""

import csv
import re
import unicodedata
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath

from tvnjax.core.errors import InvalidInputError, did_you_mean
from tvnjax.core.untrusted import MIB
from tvnjax.data.columns import find_columns
from tvnjax.data.naming import split_named
from tvnjax.data.recipe import SPLITS

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


@dataclass(frozen=True, kw_only=True)
class Listing:
    """What a manifest or a folder names."""

    spans: list[LabelledSpan] = field(default_factory=list)
    notes: tuple[str, ...] = ()
    """What was passed over, one line each."""


def read_manifest(manifest: Path) -> Listing:
    """Reads a CSV file with the columns ``path,label[,start_frame,end_frame][,split]``.

    Other columns are passed over and noted; an empty start or end means the start or end of the video.

    Raises:
      InvalidInputError: there is no such file, or it or one of its rows breaks a rule; or a column that is passed over
        may be one of those above under another name.
    """
    try:
        if not manifest.is_file():
            what = "is a folder" if manifest.is_dir() else "does not exist"
            raise InvalidInputError(f"the manifest must be a CSV file, but {str(manifest)!r} {what}; check the path")
        size = manifest.stat().st_size
        if size > MAX_BYTES:
            raise InvalidInputError(
                f"a manifest has at most {MAX_BYTES:,} bytes, but {str(manifest)!r} has {size:,}; split it"
            )
        with manifest.open(encoding="utf-8-sig", newline="") as file:
            listing = _read_rows(manifest, csv.reader(file, strict=True))
    except UnicodeDecodeError as error:
        raise InvalidInputError(
            f"a manifest must be UTF-8 text, but {str(manifest)!r} has the byte 0x{error.object[error.start]:02x} "
            f"at position {error.start}; save it as CSV in UTF-8"
        ) from None
    except csv.Error as error:
        raise InvalidInputError(f"{str(manifest)!r} is no well-formed CSV: {error}; save it again as CSV") from None
    except OSError as error:
        raise InvalidInputError(f"cannot read {str(manifest)!r}: {error.strerror}; check its permissions") from None
    if not listing.spans:
        raise InvalidInputError(f"a manifest must name clips, but {str(manifest)!r} has no row; add some")
    return listing


def _read_rows(manifest: Path, rows: Iterator[list[str]]) -> Listing:
    header = next(rows, None)
    if header is None:
        raise InvalidInputError(f"a manifest must name clips, but {str(manifest)!r} is empty; add path,label rows")
    columns, others = find_columns(header, repr(str(manifest)))
    spans: list[LabelledSpan] = []
    of_splits = set(others)  # columns that hold nothing but names of splits
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
        of_splits = {place for place in of_splits if split_named(row[place])}
        spans.append(
            LabelledSpan(
                path=paths[cell["path"]],
                label=check_label(cell["label"].strip(), where),
                start=start or 0,
                end=end,
                split=_split(cell["split"], where) if "split" in columns else "",
            )
        )
    if spans and of_splits and "split" not in columns:
        name = header[min(of_splits)]
        raise InvalidInputError(
            f"a column of splits must be called split, but {str(manifest)!r} has {name!r:.60}, which holds nothing "
            "but names of splits; rename it to split, or remove it"
        )
    return Listing(spans=spans, notes=_unread(manifest, [header[place] for place in others]))


def _unread(manifest: Path, names: Sequence[str]) -> tuple[str, ...]:
    if not names:
        return ()
    shown = ", ".join(f"{name!r:.60}" for name in names[:8]) + (", ..." if len(names) > 8 else "")
    return (f"columns of {manifest.name!r} that are not read: {len(names)} ({shown})",)


def _frame(text: str, column: str, where: str) -> int | None:
    text = text.strip()
    if not text:
        return None
    if not (text.isascii() and text.isdigit() and len(text) < 12 and int(text) <= _MAX_FRAME):
        raise InvalidInputError(
            f"{column} must be a whole number of at least 0 and at most {_MAX_FRAME}, but {where} has {text!r:.60}; "
            f"{_frame_advice(text, column)}"
        )
    return int(text)


def _frame_advice(text: str, column: str) -> str:
    if whole := re.fullmatch(r"([0-9]{1,10})\.0*", text):
        return f"write {int(whole[1])} if it counts frames, or multiply seconds by the frames per second"
    if re.fullmatch(r"[0-9]*\.[0-9]+|([0-9]+:)+[0-9.]+|[0-9.]+ ?m?s(ec)?", text):
        return "it looks like a time: multiply seconds by the frames per second"
    if text.casefold() in ("nan", "none", "null", "na", "n/a", "-", "-1"):
        return f"leave it empty for the {'start' if column == 'start_frame' else 'end'} of the video"
    return "count frames from 0, or leave it empty"


def _split(text: str, where: str) -> str:
    split = split_named(text)
    if split is None:
        raise InvalidInputError(
            f"split must be train, val or test, but {where} has {text!r:.60}"
            f"{did_you_mean(text.strip().casefold(), SPLITS)}; name one of them, or remove the column to have the "
            "videos split here"
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
