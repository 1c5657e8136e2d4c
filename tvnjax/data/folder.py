"""Reads which videos and labels a folder of class folders holds."""

import re
from collections.abc import Iterator
from pathlib import Path

from tvnjax.core.errors import InvalidInputError, did_you_mean
from tvnjax.data.manifest import LabelledSpan, check_label, stays_inside

_SPLIT_FOLDERS = {"train": "train", "val": "val", "valid": "val", "validation": "val", "test": "test"}
_LAYOUTS = "DIR/class/video or DIR/{train,val,test}/class/video"
# A list of what is no video, not of what is one: whatever else FFmpeg can open is welcome, and what it cannot open is
# reported. (The standard mimetypes table would do, but it changes with the Python version.)
NOT_VIDEO = re.compile(
    r"\.(txt|md|rst|csv|tsv|jsonl?|xml|ya?ml|toml|ini|cfg|log|html?|pdf|docx?|xlsx?|py|ipynb|sh"
    r"|jpe?g|png|bmp|tiff?|webp|svg|wav|mp3|flac|aac|m4a|srt|vtt|ass|sub|zip|tar|t?gz|bz2|xz|7z|rar"
    r"|np[yz]|pkl|pt|h5|hdf5|parquet|arrow|db|sqlite|lnk|tmp|part)",
    re.IGNORECASE,
)


def read_folder(folder: Path) -> list[LabelledSpan]:
    """Lists the videos of ``folder/class/*`` or ``folder/{train,val,test}/class/*``, in sorted order.

    Hidden files are ignored, and so are files whose suffix says they are no video (text, tables, pictures, archives);
    all others are taken for videos.

    Raises:
      InvalidInputError: there is no such folder, it has another layout, or no video.
    """
    if not folder.is_dir():
        what = "is a file" if folder.exists() else "does not exist"
        raise InvalidInputError(
            f"data must lie in a folder, but {str(folder)!r} {what}; check --data.folder (a CSV is --data.manifest)"
        )
    try:
        spans = list(_read_splits(folder))
    except OSError as error:
        raise InvalidInputError(f"cannot list {str(error.filename)!r}: {error.strerror}; check permissions") from None
    if not spans:
        raise InvalidInputError(
            f"a data folder must hold videos as {_LAYOUTS}, but {str(folder)!r} has none in such places; "
            "put each class's videos in a folder named after the class"
        )
    return spans


def _read_splits(folder: Path) -> Iterator[LabelledSpan]:
    tops = _folders(folder)
    # A class may be called "train" too: only a folder of folders is a split.
    if not any(top.name == "train" and _folders(top) for top in tops):
        yield from _read_classes(folder, folder, split="")
        return
    for top in tops:
        if top.name not in _SPLIT_FOLDERS:
            raise InvalidInputError(
                f"beside a folder of training classes only val and test may stand, but {str(folder)!r} has "
                f"{top.name!r}{did_you_mean(top.name, _SPLIT_FOLDERS)}; rename it or move it away"
            )
        yield from _read_classes(folder, top, split=_SPLIT_FOLDERS[top.name])


def _read_classes(root: Path, folder: Path, *, split: str) -> Iterator[LabelledSpan]:
    for loose in (file for file in _videos(folder) if file.suffix):  # LICENSE and the like have none
        raise InvalidInputError(
            f"a video must lie in the folder of its class, as {_LAYOUTS}, but {str(loose)!r} lies in none; move it"
        )
    for class_folder in _folders(folder):
        for nested in _folders(class_folder):
            raise InvalidInputError(
                f"a class folder may hold no folders (layouts: {_LAYOUTS}), but {str(class_folder)!r} has "
                f"{nested.name!r}{did_you_mean(class_folder.name, _SPLIT_FOLDERS)}; rename or move it"
            )
        for video in _videos(class_folder):
            path = video.relative_to(root).as_posix()
            if not stays_inside(root, path):
                raise InvalidInputError(
                    f"a video must lie inside the data folder, but {path!r} is a link that leaves {str(root)!r}; "
                    "copy the video itself"
                )
            yield LabelledSpan(path=path, label=check_label(class_folder.name, repr(str(folder))), split=split)


def _folders(folder: Path) -> list[Path]:
    return sorted(p for p in folder.iterdir() if p.is_dir() and not _hidden(p))


def _videos(folder: Path) -> list[Path]:
    files = (p for p in folder.iterdir() if not p.is_dir() and not _hidden(p))
    return sorted(p for p in files if not NOT_VIDEO.fullmatch(p.suffix))


def _hidden(path: Path) -> bool:
    return path.name.startswith(".") or path.name == "__MACOSX"
