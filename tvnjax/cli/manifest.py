"""``tvnjax manifest``."""

import dataclasses
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Literal

import tyro

from tvnjax.cli.options import parse_command
from tvnjax.cli.output import OutputOptions
from tvnjax.core.printable import say
from tvnjax.data.annotations.layouts import LAYOUTS, MULTI_LABEL, find_layout
from tvnjax.data.annotations.making import Made, make_manifest, write_manifest

_NAMED = 5
"""Missing videos and classes that are named; the others are counted."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class ManifestOptions(OutputOptions):
    layout: Annotated[str, tyro.conf.Positional, tyro.conf.arg(metavar="LAYOUT")]
    """The set the files are of, one of those above."""
    files: Annotated[tuple[Path, ...], tyro.conf.Positional, tyro.conf.arg(metavar="FILE...")]
    """Its annotation files as they were published, or folders of them."""
    videos: Path
    """Folder of the videos: in it, or up to four folders deep, with any suffix."""
    out: Path | None = None
    """The manifest, in the videos' folder or above it. Default: VIDEOS/manifest.csv."""
    force: Annotated[bool, tyro.conf.arg(aliases=["--overwrite"])] = False
    """Replace a file that is there."""
    fold: int | None = None
    """hmdb51, ucf101: which of the three official divisions into training and test clips. Default: 1."""
    val_fraction: float | None = None
    """hmdb51, ucf101: share of the training clips to validate on, by whole source videos, so that no source is on both
    sides; test clips are never taken. 0: leave it to a run, which takes single clips. Default: 0.15."""
    seed: int | None = None
    """hmdb51, ucf101: draws other clips to validate on. Default: 0."""
    validation_as: Literal["val", "test"] = "val"
    """Which split official validation clips are. test: a run takes its own validation clips out of the training
    clips. val: where there are no labelled test clips, a run takes test clips out of the training clips."""
    drop_lost_classes: bool = False
    """Leave out classes that have no training video at all."""


def manifest_command(argv: list[str]) -> int:
    if argv and not argv[0].startswith("-"):
        find_layout(argv[0])  # what cannot be read at all is said first, whatever else is missing
    options = parse_command(ManifestOptions, argv, prog="tvnjax manifest", flags=True, description=_description())
    out = options.out or options.videos / "manifest.csv"
    made = make_manifest(
        options.layout,
        options.files,
        options.videos,
        out.parent,
        fold=options.fold,
        validation_as=options.validation_as,
        val_fraction=options.val_fraction,
        seed=options.seed,
        drop_lost_classes=options.drop_lost_classes,
    )
    write_manifest(out, made.spans, force=options.force)
    _tell(made, options)
    splits = Counter(span.split for span in made.spans)
    value = {
        "manifest": str(out),
        "clips": len(made.spans),
        "classes": len({span.label for span in made.spans}),
        "splits": dict(splits),
        "missing": list(made.missing),
        "lost_classes": list(made.lost_classes),
        "left_out": dict(made.left_out),
    }
    options.result(value, lambda: say(out))
    return 0


def _description() -> str:
    width = max(map(len, LAYOUTS))
    layouts = "\n".join(f"  {name:<{width}}  {layout.files}" for name, layout in LAYOUTS.items())
    return (
        "Writes the manifest of a published set whose videos are here, from its annotation files.\nClips whose video "
        f"is missing are left out, counted and named.\n\n{layouts}\n\n"
        f"Sets whose clips have several labels ({', '.join(MULTI_LABEL.values())}) are not supported."
    )


def _tell(made: Made, options: ManifestOptions) -> None:
    splits = Counter(span.split for span in made.spans)
    counts = ", ".join(f"{splits[split]:,} {split}" for split in ("train", "val", "test") if splits[split])
    options.remark(f"{len(made.spans):,} clips of {len({span.label for span in made.spans}):,} classes: {counts}")
    for split in ("val", "test"):
        if not splits[split]:
            options.remark(f"no {split} clips: a run takes them out of the training clips")
    told = [f"{count:,} {reason}" for reason, count in made.left_out.items()]
    if made.missing:
        told.append(f"{len(made.missing):,} without a video: {_some(made.missing)}")
    if made.lost_classes:
        told.append(f"the classes without a training video: {_some(made.lost_classes)}")
    for reason in told:
        options.remark(f"left out: {reason}")


def _some(names: Sequence[str]) -> str:
    return ", ".join(map(repr, names[:_NAMED])) + ", ..." * (len(names) > _NAMED)
