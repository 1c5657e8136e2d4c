"""Clips that lie in memory: arrays of one's own, stored and sampled as clips of any other source.

A run keeps what the arrays are (a digest, their shape, the classes), never the arrays: to go on with it they are given
again, and compared.
"""

import hashlib
import json
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, fields
from typing import Any, get_args

import numpy as np

from tvnjax.core.errors import InvalidInputError, did_you_mean
from tvnjax.core.printable import printable
from tvnjax.data.checks import check_fraction, check_integer, window_length
from tvnjax.data.frames import check_frames, square_frames, to_pixels
from tvnjax.data.manifest import LabelledSpan
from tvnjax.data.naming import note, split_named
from tvnjax.data.picture import Fit
from tvnjax.data.recipe import SPLITS, Clip, Progress, Recipe, fingerprint
from tvnjax.data.splits import assign_splits

_RULE = "clips are an array [clips, frames, height, width, 3] of uint8, or of floats from 0 to 1"


@dataclass(frozen=True, kw_only=True)
class ArrayData:
    """What a set of arrays is. :func:`make_arrays` makes one that has its arrays; one that is read from a file has
    none, and says so where clips are to be made of it."""

    digest: str
    """SHA-256 of the pixels, the labels and the splits, 64 hexadecimal digits."""
    shape: tuple[int, ...]
    """As given: clips, frames, height, width and, where there is one, channels."""
    dtype: str
    class_names: tuple[str, ...]
    """In the order of the labels."""
    fit: Fit = "squash"
    """How a frame becomes square: squash changes its proportions, crop cuts its longer sides off."""
    val_fraction: float = 0.15
    """Share of the clips to validate on, where no val split is given."""
    test_fraction: float = 0.15
    """Share of the clips to test on, where no test split is given."""
    split_seed: int = 0
    """Draws another split, where none is given."""
    shift: int = 0
    """Training crops move by up to this many pixels each way; frames are stored with that margin."""
    flip: bool = False
    """Mirror half of the training clips; only for labels that do not tell left from right."""

    def __post_init__(self) -> None:
        object.__setattr__(self, "shape", tuple(self.shape))
        object.__setattr__(self, "class_names", tuple(self.class_names))
        object.__setattr__(self, "_held", None)
        if self.fit not in get_args(Fit):
            raise InvalidInputError(
                f"fit must be one of {', '.join(get_args(Fit))}, got {self.fit!r}"
                f"{did_you_mean(str(self.fit), get_args(Fit))}; choose one of them"
            )
        for name in ("val_fraction", "test_fraction"):
            check_fraction(name, getattr(self, name))
        if self.val_fraction + self.test_fraction >= 1:
            raise InvalidInputError(
                "val_fraction and test_fraction must leave clips to train on, got "
                f"{self.val_fraction} + {self.test_fraction}; keep their sum below 1"
            )
        for name in ("split_seed", "shift"):
            check_integer(name, getattr(self, name), 0)
        if len(self.shape) not in (4, 5) or any(
            check_integer("a length of arrays", side, 1) < 1 for side in self.shape
        ):
            raise InvalidInputError(f"{_RULE}, or without channels; got the shape {self.shape!r:.100}")

    def __repr__(self) -> str:
        about = f"{_times(self.shape[1:])}, {self.dtype}, {len(self.class_names)} classes, digest {self.digest[:12]}"
        return printable(f"Arrays({self.shape[0]:,} clips of {about})", 200)

    def __getstate__(self) -> dict[str, Any]:
        # Workers read the clips that the run stored; the arrays stay in the process that has them.
        return {field.name: getattr(self, field.name) for field in fields(self)} | {"_held": None}

    @property
    def clip_frames(self) -> int | None:
        """Frames every clip has."""
        return self.shape[1]

    @property
    def has_arrays(self) -> bool:
        """Whether the arrays are here; a description that was read from a file has none."""
        return self._held is not None  # type: ignore[attr-defined]

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
        """Returns how to store the clips; see :class:`tvnjax.data.recipe.ClipSource`."""
        held: _Held | None = self._held  # type: ignore[attr-defined]
        if held is None:
            raise InvalidInputError(
                f"a run keeps no arrays, and {self!r} are not here; give the same ones again from Python "
                "(tvnjax.run(resume=DIR, data=tvnjax.Arrays(...))), or name other clips with --data"
            )
        frames, height, width = self.shape[1:4]
        window = window_length(num_frames, frame_stride)
        if window > frames:
            raise InvalidInputError(
                f"{num_frames} frames {frame_stride} apart span {window} frames, but the clips have {frames}; give "
                "longer clips, or search fewer frames (shapes.num_frames, shapes.frame_stride)"
            )
        size = check_integer("image_size", image_size, 1) + 2 * self.shift
        if size > min(height, width):
            margin = f" and a margin of {self.shift} on each side" if self.shift else ""
            raise InvalidInputError(
                f"frames are scaled down, never up; an image_size of {image_size}{margin} is larger than the clips of "
                f"{height} × {width} pixels; search {min(height, width) - 2 * self.shift} or less (shapes.image_size)"
            )
        digests = held.digests(progress)
        if held.digest(digests) != self.digest:
            raise InvalidInputError(
                "arrays stay as they are while a run goes on with them; these were changed since tvnjax.Arrays(...) "
                "took them: give a copy, or make Arrays of them again"
            )
        spans = self._spans(held, classes, required)
        names = self.class_names if classes is None else classes
        places = {split: [i for i, span in enumerate(spans) if span.split == split] for split in SPLITS}

        def read(split: str) -> Iterator[Clip]:
            for i in places[split]:
                yield Clip(
                    pixels=square_frames(to_pixels(held.clips[i]), size, self.fit),
                    label=names.index(spans[i].label),
                    name=f"clip {i}",
                    origin=f"{digests[i][:32]}[0:{frames}]",
                    span=(0, frames),
                    valid=(0, frames),
                )

        about = {"digest": self.digest, "fit": self.fit, "size": size, "classes": names}
        return Recipe(
            name="arrays",
            class_names=names,
            fingerprint=fingerprint({"arrays": about, "places": places}),
            frames=frames,
            window=frames,
            size=size,
            shift=self.shift,
            flip=self.flip,
            planned={split: len(found) for split, found in places.items()},
            read=read,
            required=required,
            notes=tuple(_copies(spans, digests)),
        )

    def _spans(self, held: "_Held", classes: tuple[str, ...] | None, required: tuple[str, ...]) -> list[LabelledSpan]:
        if classes is not None and (others := sorted(set(self.class_names) - set(classes))):
            raise InvalidInputError(
                f"each class must be one of the network's {len(classes)}, but {len(others)} are not, such as "
                f"{others[0]!r:.60}{did_you_mean(others[0], classes)}; name the classes as the network does"
            )
        spans = [
            LabelledSpan(path=f"clip {i}", label=self.class_names[label], split=held.splits[i])
            for i, label in enumerate(held.labels)
        ]
        return assign_splits(
            spans,
            val_fraction=self.val_fraction,
            test_fraction=self.test_fraction,
            seed=self.split_seed,
            required=required,
            any_classes=classes is not None,
        )


class _Held:
    """The arrays themselves."""

    def __init__(self, clips: np.ndarray, labels: list[int], splits: list[str]):
        self.clips, self.labels, self.splits = clips, labels, splits

    def digests(self, progress: Progress | None = None) -> list[str]:
        """Of the pixels of each clip, as stored at full size."""
        found = []
        for i, clip in enumerate(self.clips):
            found.append(hashlib.sha256(to_pixels(clip).tobytes()).hexdigest())
            if progress is not None and (i % 100 == 0 or i + 1 == len(self.clips)):
                progress(i + 1, len(self.clips), "clips compared")
        return found

    def digest(self, digests: Sequence[str]) -> str:
        told = [list(self.clips.shape), list(digests), self.labels, self.splits]
        return hashlib.sha256(json.dumps(told).encode()).hexdigest()


def make_arrays(
    clips: Any,
    labels: Any,
    *,
    splits: Any = None,
    class_names: Sequence[str] | None = None,
    **options: Any,
) -> ArrayData:
    """Returns clips of one's own as data of a run; see ``tvnjax.Arrays``.

    Args:
      clips: ``[clips, frames, height, width, 3]`` uint8, or floats from 0 to 1; grey ones have 1 channel or none.
      labels: of each clip, its class's number (from 0) or name.
      splits: of each clip, train, val or test; or a mapping from these to the numbers of their clips.
      class_names: in the order of the numbers. Default: the names in labels, sorted; or the numbers.
      options: the other fields of :class:`ArrayData`.

    Raises:
      InvalidInputError: a rule is broken; the message says which clip or label it is about.
    """
    known = [field.name for field in fields(ArrayData) if field.name not in ("digest", "shape", "dtype", "class_names")]
    for name in options:
        if name not in known:
            raise InvalidInputError(
                f"arrays have no option {name}{did_you_mean(name, known)}; choose from {', '.join(known)}"
            )
    try:
        array = np.asarray(clips)
    except ValueError as error:
        raise InvalidInputError(f"{_RULE}: all of one shape; {error}: make them equally long and large") from None
    check_frames(array, _RULE, leading=1)
    numbers, names = _labels(labels, len(array), class_names)
    held = _Held(array, numbers, _splits(splits, len(array)))
    for clip in array:
        check_frames(clip, _RULE, leading=0, values=True)
    digest = held.digest(held.digests())
    made = ArrayData(digest=digest, shape=array.shape, dtype=str(array.dtype), class_names=names, **options)
    object.__setattr__(made, "_held", held)
    made._spans(held, None, SPLITS)  # refuses splits that no run can have while it is clear whose they are
    return made


def _labels(labels: Any, count: int, class_names: Sequence[str] | None) -> tuple[list[int], tuple[str, ...]]:
    found = np.asarray(labels)
    if found.shape != (count,) or found.dtype.kind not in "iuUO":
        raise InvalidInputError(
            f"labels are a number or a name for each of the {count:,} clips; got {found.dtype} of shape {found.shape}"
        )
    values: list[Any] = found.tolist()
    if all(isinstance(value, str) for value in values):
        names = tuple(sorted(set(values))) if class_names is None else _names(class_names)
        if unknown := sorted(set(values) - set(names)):
            near = did_you_mean(unknown[0], names)
            raise InvalidInputError(f"each label is one of class_names; {unknown[0]!r:.60} is none{near}: add it")
        place = {name: i for i, name in enumerate(names)}
        numbers = [place[value] for value in values]
    else:
        bad = next((v for v in values if isinstance(v, bool) or not isinstance(v, int) or v < 0), None)
        if bad is not None:
            raise InvalidInputError(f"a label is a class's number, 0 or above, or its name; got {bad!r:.60}")
        numbers = values
        names = _names(class_names) if class_names is not None else tuple(map(str, range(len(set(numbers)))))
        if max(numbers) >= len(names):
            what = f"class_names names {len(names)}" if class_names is not None else f"there are {len(names)} labels"
            raise InvalidInputError(
                f"labels count the classes from 0; got {max(numbers)}, and {what}: number them without gaps, or give "
                "class_names"
            )
    missing = [name for i, name in enumerate(names) if i not in set(numbers)]
    if missing:
        raise InvalidInputError(f"each class has a clip; {missing[0]!r:.60} has none: leave it out of class_names")
    return numbers, names


def _names(class_names: Sequence[str]) -> tuple[str, ...]:
    names = tuple(class_names) if not isinstance(class_names, str) else ()
    if not names or not all(isinstance(name, str) and name for name in names) or len(set(names)) < len(names):
        raise InvalidInputError(f"class_names are some names, each once; got {class_names!r:.100}")
    return names


def _splits(splits: Any, count: int) -> list[str]:
    """The split of each clip; empty where none is given."""
    if splits is None:
        return [""] * count
    if isinstance(splits, Mapping):
        found = [""] * count
        for name, chosen in splits.items():
            places = np.asarray(chosen)
            places = np.flatnonzero(places) if places.dtype == bool and places.shape == (count,) else places
            if places.ndim != 1 or (places.size and places.dtype.kind not in "iu"):
                raise InvalidInputError(f"a split has numbers of clips; {name!s:.60} has {places.dtype} {places.shape}")
            for i in map(int, places):
                if not 0 <= i < count:
                    raise InvalidInputError(f"clips are numbered 0 to {count - 1:,}; split {name!s:.60} has {i}")
                if found[i]:
                    raise InvalidInputError(
                        f"each clip is in one split; clip {i} is in {found[i]!r:.60} and {name!r:.60}"
                    )
                found[i] = str(name)
        if "" in found:
            raise InvalidInputError(
                f"each clip is in a split where splits are given; clip {found.index('')} is in none"
            )
    else:
        found = [str(name) for name in splits]
        if isinstance(splits, str) or len(found) != count:
            raise InvalidInputError(f"splits name one of {', '.join(SPLITS)} for each of the {count:,} clips")
    for name in set(found):
        if split_named(name) is None:
            raise InvalidInputError(
                f"a split is one of {', '.join(SPLITS)}; got {name!r:.60}{did_you_mean(name, SPLITS)}"
            )
    return [split_named(name) or "" for name in found]


def _copies(spans: Sequence[LabelledSpan], digests: Sequence[str]) -> Iterator[str]:
    """Notes on clips of the same pixels, which may be meant."""
    several = {digest for digest, count in Counter(digests).items() if count > 1}
    first: dict[str, LabelledSpan] = {}
    apart, labelled = [], []
    for span, digest in zip(spans, digests):
        if digest in several:
            other = first.setdefault(digest, span)
            apart += [span] if other.split != span.split else []
            labelled += [span] if other.label != span.label else []
    if apart:
        yield note("clips with the pixels of a clip in another split", len(apart), apart[0].path)
    if labelled:
        yield note("clips with the pixels of a clip with another label", len(labelled), labelled[0].path)


def _times(sides: Sequence[int]) -> str:
    return " × ".join(map(str, sides))
