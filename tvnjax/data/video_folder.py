"""Clips from video files: what a manifest or a folder names, checked, split and decoded."""

import os
import re
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, fields
from pathlib import Path
from typing import get_args

from tvnjax.core.errors import InvalidInputError, did_you_mean
from tvnjax.core.printable import printable
from tvnjax.data.checks import check_fraction, check_integer, window_length
from tvnjax.data.content import digest_of, digests_of
from tvnjax.data.decode import ClipShape, DamagedSpanError, Fit, UnreadableVideoError, decode_spans
from tvnjax.data.folder import read_folder
from tvnjax.data.leaks import check_copies
from tvnjax.data.manifest import LabelledSpan, read_manifest
from tvnjax.data.recipe import SPLITS, Clip, Progress, Recipe, SkippedClip, fingerprint
from tvnjax.data.settled import Settled, settle
from tvnjax.data.spans import ShortSpanError, ShortSpans, SpanOutsideVideoError


@dataclass(frozen=True, kw_only=True)
class VideoData:
    """Clips cut from video files, named by a manifest or by the folders they lie in."""

    manifest: Path | None = None
    """CSV of path,label[,start_frame,end_frame][,split]; paths relative to its folder, end_frame exclusive."""
    folder: Path | None = None
    """A folder of DIR/class/video or DIR/{train,val,test}/class/video; this or a manifest."""
    short_spans: ShortSpans = "hold"
    """Labels shorter than a clip: hold their last frame, widen into the video around them, or call it an error."""
    fit: Fit = "squash"
    """How a frame becomes square: squash changes its proportions, crop cuts its longer sides off."""
    val_fraction: float = 0.15
    """Share of the videos to validate on, where the input names no val split."""
    test_fraction: float = 0.15
    """Share of the videos to test on, where the input names no test split."""
    split_seed: int = 0
    """Draws another split, where the input names none."""
    temporal_jitter: int = 4
    """Training clips start up to this many frames before or after the centred one."""
    shift: int = 0
    """Training crops move by up to this many pixels each way; frames are stored with that margin."""
    flip: bool = False
    """Mirror half of the training clips; only for labels that do not tell left from right."""
    max_skipped: float = 0.05
    """Largest share of the clips that may be skipped, because their videos are missing or damaged; more is an error."""

    def __post_init__(self) -> None:
        for name, choices in (("short_spans", get_args(ShortSpans)), ("fit", get_args(Fit))):
            if (value := getattr(self, name)) not in choices:
                raise InvalidInputError(
                    f"{name} must be one of {', '.join(choices)}, got {value!r}{did_you_mean(str(value), choices)}; "
                    "choose one of them"
                )
        for name in ("val_fraction", "test_fraction"):
            check_fraction(name, getattr(self, name))
        if self.val_fraction + self.test_fraction >= 1:
            raise InvalidInputError(
                "val_fraction and test_fraction must leave videos to train on, got "
                f"{self.val_fraction} + {self.test_fraction}; keep their sum below 1"
            )
        if not isinstance(self.max_skipped, int | float) or not 0 <= self.max_skipped <= 1:
            raise InvalidInputError(f"max_skipped must lie from 0 to 1, got {self.max_skipped!r}; 0.05 is the default")
        for name in ("split_seed", "temporal_jitter", "shift"):
            check_integer(name, getattr(self, name), 0)

    def __repr__(self) -> str:
        named = [f"{f.name}={v!r}" for f in fields(self) if (v := getattr(self, f.name)) != f.default]
        return printable(f"VideoData({', '.join(named)})", 200)

    @property
    def clip_frames(self) -> int | None:
        """None: a clip is cut as long as it is asked for."""
        return None

    @property
    def class_names(self) -> tuple[str, ...]:
        """One name per label; no video is read.

        Raises:
          InvalidInputError: the manifest or the folder breaks a rule.
        """
        return self._settled(None, SPLITS)[2].class_names

    def clip_shape(self, *, num_frames: int, frame_stride: int, image_size: int) -> ClipShape:
        """Returns how a clip for windows of ``num_frames`` frames, ``frame_stride`` apart, is cut and stored.

        Raises:
          InvalidInputError: a size is no whole number of at least 1.
        """
        return ClipShape(
            window=window_length(num_frames, frame_stride),
            jitter=self.temporal_jitter,
            size=check_integer("image_size", image_size, 1) + 2 * self.shift,
            fit=self.fit,
            short_spans=self.short_spans,
        )

    def recipe(
        self,
        *,
        num_frames: int,
        frame_stride: int,
        image_size: int,
        classes: tuple[str, ...] | None = None,
        required: tuple[str, ...] = SPLITS,
        progress: Progress | None = None,
    ) -> Recipe:
        """Returns how to decode the clips; see :class:`tvnjax.data.recipe.ClipSource`."""
        shape = self.clip_shape(num_frames=num_frames, frame_stride=frame_stride, image_size=image_size)
        root, name, settled = self._settled(classes, required)
        spans, class_names = settled.spans, settled.class_names
        digests = digests_of(root, (span.path for span in spans), progress)
        notes = (*settled.notes, *check_copies(spans, {p: d for p, d in digests.items() if len(d) == 64}))
        asked = f"{num_frames} frames {frame_stride} apart"
        return Recipe(
            name=re.sub(r"[^A-Za-z0-9._-]+", "_", name).strip("._")[:40] or "videos",
            class_names=class_names,
            fingerprint=_fingerprint(spans, digests, shape, class_names),
            frames=shape.frames,
            window=shape.window,
            size=shape.size,
            shift=self.shift,
            flip=self.flip,
            planned={split: sum(span.split == split for span in spans) for split in SPLITS},
            read=lambda split: _read(root, [s for s in spans if s.split == split], digests, class_names, shape, asked),
            required=required,
            notes=notes,
            max_skipped=self.max_skipped,
        )

    def _settled(self, classes: tuple[str, ...] | None, required: tuple[str, ...]) -> tuple[Path, str, Settled]:
        """The folder that paths are relative to, the name of the set, and its spans."""
        if (self.manifest is None) == (self.folder is None):
            met = "neither" if self.manifest is None else f"both {str(self.manifest)!r} and {str(self.folder)!r}"
            raise InvalidInputError(
                f"video data needs a manifest or a folder, got {met}; give one of --data.manifest and --data.folder"
            )
        if self.manifest is not None:
            root, listing = Path(self.manifest).parent, read_manifest(Path(self.manifest))
            name = Path(self.manifest).stem
        else:
            root = Path(self.folder or ".")
            name, listing = root.resolve().name, read_folder(root)
        return (
            root,
            name,
            settle(
                root,
                listing,
                val_fraction=self.val_fraction,
                test_fraction=self.test_fraction,
                seed=self.split_seed,
                classes=classes,
                required=required,
            ),
        )


def _fingerprint(
    spans: Sequence[LabelledSpan], digests: Mapping[str, str], shape: ClipShape, class_names: tuple[str, ...]
) -> str:
    """Covers what the clips are made of: spans with labels and splits, every file's content, and the shape.

    The spans stand for the manifest: a column that is not read, or the order of the options, changes no clip. Where
    the files lie is no part of it either.
    """
    rows = [(s.path, s.label, s.start, s.end, s.split) for s in spans]
    # The usual order follows from the rows.
    usual = list(class_names) == sorted({span.label for span in spans})
    ordered = {} if usual else {"classes": class_names}
    return fingerprint({"video": rows, "files": digests, "shape": vars(shape), **ordered})


def _read(
    root: Path,
    spans: Sequence[LabelledSpan],
    digests: Mapping[str, str],
    class_names: tuple[str, ...],
    shape: ClipShape,
    asked: str,
) -> Iterator[Clip | SkippedClip]:
    """Decodes each file of a split once, several files at a time, and yields the clips file by file."""
    import grain  # brings jax along, which reading a manifest does not need

    by_file = defaultdict(list)
    for span in spans:
        by_file[span.path].append(span)

    def decode(file: list[LabelledSpan]) -> list[Clip | SkippedClip]:
        digest = digests[file[0].path]
        try:
            clips = _clips_of_file(root, file, digest, class_names, shape, asked)
        except (OSError, MemoryError) as error:
            reason = getattr(error, "strerror", None) or type(error).__name__
            raise InvalidInputError(
                f"clips are made of files that can be read; {file[0].path!r} could not be ({reason}), which says "
                "nothing of the video: nothing was kept, try again"
            ) from None
        if digest_of(root / file[0].path) != digest:
            raise InvalidInputError(
                f"files stay as they are while clips are made of them; {file[0].path!r} was changed meanwhile: nothing "
                "was kept, try again"
            )
        return clips

    threads = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    # PyAV lets go of the interpreter lock while it decodes; two files per thread bound the memory.
    options = grain.ReadOptions(num_threads=threads, prefetch_buffer_size=2 * threads)
    for clips in grain.MapDataset.source(list(by_file.values())).map(decode).to_iter_dataset(options):
        yield from clips


def _clips_of_file(
    root: Path,
    spans: list[LabelledSpan],
    digest: str,
    class_names: tuple[str, ...],
    shape: ClipShape,
    asked: str,
) -> list[Clip | SkippedClip]:
    path = spans[0].path

    def skipped(span: LabelledSpan, reason: str) -> SkippedClip:
        return SkippedClip(path=path, label=span.label, split=span.split, reason=" ".join(reason.split()))

    clips: list[Clip | SkippedClip] = []
    if digest.startswith("unreadable"):
        return [skipped(span, f"cannot be read ({digest.removeprefix('unreadable: ')})") for span in spans]
    try:
        decoded = list(decode_spans(root / path, [(span.start, span.end) for span in spans], shape))
    except UnreadableVideoError as error:
        return [skipped(span, str(error)) for span in spans]
    except ShortSpanError as error:
        raise InvalidInputError(
            f"{asked} span {shape.window} frames, but {error} in {path!r}, and short spans were to be an error; let "
            "short spans hold or widen, or take fewer frames or a smaller stride"
        ) from None
    for span, result in zip(spans, decoded):
        if isinstance(result, (SpanOutsideVideoError, DamagedSpanError)):
            clips.append(skipped(span, str(result)))
            continue
        pixels, placement = result
        clips.append(
            Clip(
                pixels=pixels,
                label=class_names.index(span.label),
                name=span.name,
                origin=f"{digest[:32]}[{span.start}:{'' if span.end is None else span.end}]",
                span=placement.span,
                valid=placement.valid,
                widened=placement.widened,
                held=placement.held,
            )
        )
    return clips
