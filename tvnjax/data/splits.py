"""Splits videos into training, validation and test where the input does not.

Whole videos are assigned, so no two clips of one video are ever on both sides, and each video's place depends on its
own path and the seed alone: adding a video moves few others.
"""

import hashlib
from collections import Counter, defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import replace

from tvnjax.core.errors import InvalidInputError, did_you_mean
from tvnjax.data.manifest import LabelledSpan
from tvnjax.data.recipe import SPLITS


def assign_splits(
    spans: Sequence[LabelledSpan],
    *,
    val_fraction: float,
    test_fraction: float,
    seed: int,
    required: Sequence[str] = SPLITS,
    any_classes: bool = False,
) -> list[LabelledSpan]:
    """Returns the spans, in order, each with a split; a missing ``val`` or ``test`` is taken out of ``train``.

    Classes are drawn from alike; a video with several labels counts as one of its rarest.

    Args:
      required: the splits that must have clips; others may stay empty.
      any_classes: whether there may be one class alone, and classes with no clip to train on: those of a network that
        is trained already.

    Raises:
      InvalidInputError: splits are named but a required one is not and cannot be taken out of ``train``, there are too
        few videos to split, there is only one class, or a class has no clip to train on.
    """
    for split in required:
        if split not in SPLITS:
            raise InvalidInputError(
                f"a split is one of {', '.join(SPLITS)}, got {split!r}{did_you_mean(split, SPLITS)}; choose from these"
            )
    named = {span.split for span in spans} - {""}
    if named and "train" not in named:
        missing = [split for split in required if split not in named]
        if missing:
            raise InvalidInputError(
                f"data must have a {missing[0]} split, but only {', '.join(sorted(named))} is named; add "
                f"{'training' if missing[0] == 'train' else missing[0]} clips, or name no split to have the videos "
                "split here"
            )
        return list(spans)
    spans = [span if span.split else replace(span, split="train") for span in spans]
    if "test" not in named:
        spans = _take(required, "test", test_fraction, spans, seed)
    if "val" not in named:
        left = val_fraction if "test" in named else val_fraction / (1 - test_fraction)
        spans = _take(required, "val", left, spans, seed)
    if not any_classes and "train" in required:
        _check_classes(spans)
    return spans


def _take(
    required: Sequence[str], split: str, fraction: float, spans: list[LabelledSpan], seed: int
) -> list[LabelledSpan]:
    try:
        return take_split(split, fraction, spans, seed)
    except InvalidInputError:
        if split in required:
            raise
        return spans


def take_split(split: str, fraction: float, spans: Sequence[LabelledSpan], seed: int) -> list[LabelledSpan]:
    """Moves ``fraction`` of the training videos to ``split``, leaving each class at least one.

    Raises:
      InvalidInputError: no class has a second one.
    """
    strata = _strata([span for span in spans if span.split == "train"], seed)
    taken: set[str] = set()
    owed = 0.0  # rounding is carried from class to class, so that many small classes still give their share
    for _, paths in sorted(strata.items()):
        owed += fraction * len(paths)
        count = max(min(int(owed + 0.5), len(paths) - 1), 0)
        owed -= count
        taken.update(paths[:count])
    largest = max(strata.values(), key=len)
    if not taken and len(largest) > 1:
        taken.add(largest[0])
    if not taken:
        raise InvalidInputError(
            f"a {split} split is taken from the training videos, but no class has a second one "
            f"({sum(map(len, strata.values()))} videos, {len(strata)} classes); add videos, or name the splits"
        )
    return [replace(s, split=split) if s.split == "train" and s.path in taken else s for s in spans]


def _strata(spans: Iterable[LabelledSpan], seed: int) -> dict[str, list[str]]:
    """Returns the videos of each class in an order that is random but fixed."""
    spans = list(spans)
    frequency = Counter(span.label for span in spans)
    rarest: dict[str, str] = {}
    for span in spans:
        best = rarest.setdefault(span.path, span.label)
        rarest[span.path] = min(best, span.label, key=lambda label: (frequency[label], label))
    strata = defaultdict(list)
    for path, label in rarest.items():
        strata[label].append(path)
    for paths in strata.values():
        paths.sort(key=lambda path: hashlib.sha256(f"{seed}:{path}".encode(errors="surrogateescape")).digest())
    return strata


def _check_classes(spans: Sequence[LabelledSpan]) -> None:
    classes = sorted({span.label for span in spans})
    if len(classes) < 2:
        raise InvalidInputError(
            f"a classifier needs at least two classes, got only {classes[0]!r}; add clips of another class"
        )
    counts = Counter((span.label, span.split) for span in spans)
    for label in classes:
        if not counts[label, "train"]:
            elsewhere = ", ".join(f"{counts[label, split]} in {split}" for split in SPLITS[1:])
            raise InvalidInputError(
                f"each class must have a clip in the train split, but {label!r} has none ({elsewhere}); "
                "add clips of it, or change the splits"
            )
