"""Reads which videos and labels a folder of class folders holds."""

import re
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

from tvnjax.core.errors import InvalidInputError, did_you_mean
from tvnjax.data.manifest import LabelledSpan, Listing, check_label, stays_inside
from tvnjax.data.naming import SPLIT_NAMES, note, split_named
from tvnjax.data.pictures import PICTURE, pictures_hint

_LAYOUTS = "DIR/class/video or DIR/{train,val,test}/class/video"
# A list of what is no video, not of what is one: whatever else FFmpeg can open is welcome, and what it cannot open is
# reported. (The standard mimetypes table would do, but it changes with the Python version.)
NOT_VIDEO = re.compile(
    r"\.(txt|md|rst|csv|tsv|jsonl?|xml|ya?ml|toml|ini|cfg|log|html?|pdf|docx?|xlsx?|py|ipynb|sh"
    r"|wav|mp3|flac|aac|m4a|opus|wma|srt|vtt|ass|sub|zip|tar|t?gz|bz2|xz|7z|rar"
    r"|np[yz]|pkl|pt|h5|hdf5|parquet|arrow|db|sqlite|lnk|tmp|part)|" + PICTURE.pattern,
    re.IGNORECASE,
)


class _Ignored:
    """Counts what is passed over, or taken for what it may not be."""

    def __init__(self) -> None:
        self.suffixes: Counter[str] = Counter()
        self.hidden: list[str] = []
        self.loose: list[str] = []
        self.empty: list[str] = []
        self.named: list[str] = []

    def notes(self) -> tuple[str, ...]:
        notes = []
        if self.suffixes:
            common = sorted(self.suffixes.items(), key=lambda item: (-item[1], item[0]))[:6]
            shown = ", ".join(f"{count} {suffix}" for suffix, count in common)
            more = ", ..." if len(self.suffixes) > 6 else ""
            notes.append(f"files that are no video, by their suffix: {self.suffixes.total():,} ({shown}{more})")
        for what, names in (
            ("files outside of class folders", self.loose),
            ("hidden files and folders", self.hidden),
            ("class folders without a video", self.empty),
            ("class folders with the name of a split", self.named),
        ):
            if names:
                notes.append(note(what, len(names), repr(names[0])))
        return tuple(notes)


def read_folder(folder: Path) -> Listing:
    """Lists the videos of ``folder/class/*`` or ``folder/{train,val,test}/class/*``, in sorted order.

    Folders of splits may be written in any case, and be called ``training``, ``validation`` or ``testing``, too. Hidden
    files are ignored, and so are files whose suffix says they are no video (text, tables, pictures, archives); all
    others are taken for videos. What is ignored is counted in the notes.

    Raises:
      InvalidInputError: there is no such folder, it has another layout, or no video.
    """
    ignored = _Ignored()
    try:
        if not folder.is_dir():
            what = "is a file" if folder.exists() else "does not exist"
            raise InvalidInputError(
                f"data must lie in a folder, but {str(folder)!r} {what}; check the path (a CSV file is a manifest)"
            )
        spans = list(_read_splits(folder, ignored))
    except OSError as error:
        raise InvalidInputError(f"cannot list {str(error.filename)!r}: {error.strerror}; check permissions") from None
    if not spans:
        raise InvalidInputError(
            f"a data folder must hold videos as {_LAYOUTS}, but {str(folder)!r} has none in such places"
            f"; {pictures_hint(folder) or 'put the videos of each class in a folder named after the class'}"
        )
    return Listing(spans=spans, notes=ignored.notes())


def _read_splits(folder: Path, ignored: _Ignored) -> Iterator[LabelledSpan]:
    tops, files = _listed(folder, ignored)
    named = {top: split for top in tops if (split := split_named(top.name))}
    # A class may be called "train" too: only a folder of folders is a split.
    if not any(_listed(top)[0] for top in named):
        ignored.named = _classes_named_as_splits(folder, tops, named)
        yield from _read_classes(folder, tops, files, ignored, split="")
        return
    _check_loose(folder, files, ignored)
    known: dict[str, Path] = {}
    for top in tops:
        if top not in named:
            raise InvalidInputError(
                f"beside a folder of training classes only val and test may stand, but {str(folder)!r} has "
                f"{top.name!r}{did_you_mean(top.name, SPLIT_NAMES)}; rename it or move it away"
            )
        if (other := known.setdefault(named[top], top)) is not top:
            raise InvalidInputError(
                f"a split must have one folder, but {str(folder)!r} has {other.name!r} and {top.name!r} for "
                f"{named[top]}; put their classes into one of them"
            )
        yield from _read_classes(folder, *_listed(top, ignored), ignored, split=named[top])


def _classes_named_as_splits(folder: Path, tops: list[Path], named: dict[Path, str]) -> list[str]:
    """Raises InvalidInputError where videos lie in folders of splits without folders of classes between."""
    filled = [top for top in tops if any(not NOT_VIDEO.fullmatch(file.suffix) for file in _listed(top)[1])]
    splits = [top for top in filled if top in named]
    # One class of several may well be called so: trains, or tests.
    if splits and (len({named[top] for top in splits}) > 1 or len(filled) == 1):
        names = " and ".join(repr(top.name) for top in splits[:3])
        raise InvalidInputError(
            f"a video must lie in the folder of its class, but {names} in {str(folder)!r} "
            f"{'hold' if len(splits) > 1 else 'holds'} videos without one; put them into folders of their classes, as "
            f"{splits[0].name}/CLASS/video, or name them with their labels in a manifest"
        )
    return [top.name for top in splits]


def _read_classes(
    root: Path, classes: list[Path], files: list[Path], ignored: _Ignored, *, split: str
) -> Iterator[LabelledSpan]:
    _check_loose(root, files, ignored)
    for class_folder in classes:
        folders, inside = _listed(class_folder, ignored)
        for nested in folders:
            hint = pictures_hint(nested) or "rename or move it"
            raise InvalidInputError(
                f"a class folder may hold no folders (layouts: {_LAYOUTS}), but {str(class_folder)!r} has "
                f"{nested.name!r}{did_you_mean(class_folder.name, SPLIT_NAMES)}; {hint}"
            )
        label, videos = check_label(class_folder.name, repr(str(class_folder.parent))), _videos(inside, ignored)
        if not videos:
            ignored.empty.append(class_folder.relative_to(root).as_posix())
        for video in videos:
            path = video.relative_to(root).as_posix()
            if not stays_inside(root, path):
                raise InvalidInputError(
                    f"a video must lie inside the data folder, but {path!r} is a link that leaves {str(root)!r}; "
                    "copy the video itself"
                )
            yield LabelledSpan(path=path, label=label, split=split)


def _check_loose(root: Path, files: list[Path], ignored: _Ignored) -> None:
    for loose in _videos(files, ignored):
        if loose.suffix:
            raise InvalidInputError(
                f"a video must lie in the folder of its class, as {_LAYOUTS}, but {str(loose)!r} lies in none; move it"
            )
        ignored.loose.append(loose.relative_to(root).as_posix())  # LICENSE and the like


def _listed(folder: Path, ignored: _Ignored | None = None) -> tuple[list[Path], list[Path]]:
    """Folders and files, sorted, without hidden ones."""
    folders, files = [], []
    for path in sorted(folder.iterdir()):
        if path.name.startswith(".") or path.name == "__MACOSX":
            if ignored is not None:
                ignored.hidden.append(path.name)
        else:
            (folders if path.is_dir() else files).append(path)
    return folders, files


def _videos(files: list[Path], ignored: _Ignored) -> list[Path]:
    videos = []
    for file in files:
        if NOT_VIDEO.fullmatch(file.suffix):
            ignored.suffixes[file.suffix.lower()] += 1
        else:
            videos.append(file)
    return videos
