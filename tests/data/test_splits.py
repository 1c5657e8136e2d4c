"""Splitting by file: deterministic, disjoint, alike for every class."""

from collections import Counter, defaultdict

import pytest

from tvnjax.data.manifest import LabelledSpan
from tvnjax.data.splits import assign_splits


def spans(classes, files, *, split="", prefix=""):
    return [
        LabelledSpan(path=f"{prefix}{label}/{i}.mp4", label=label, split=split)
        for label in classes
        for i in range(files)
    ]


def assign(clips, *, val=0.15, test=0.15, seed=0):
    return assign_splits(clips, val_fraction=val, test_fraction=test, seed=seed)


def split_of_files(assigned):
    splits = defaultdict(set)
    for span in assigned:
        splits[span.path].add(span.split)
    assert all(len(s) == 1 for s in splits.values())
    return {path: next(iter(s)) for path, s in splits.items()}


def test_every_class_gives_its_share():
    assigned = assign(spans("abc", 100))
    assert Counter((s.label, s.split) for s in assigned) == {
        (label, split): n for label in "abc" for split, n in (("train", 70), ("val", 15), ("test", 15))
    }


def test_splits_depend_on_path_and_seed_alone():
    clips = spans("abc", 30)
    first = split_of_files(assign(clips))
    assert first == split_of_files(assign(clips[::-1]))
    assert first != split_of_files(assign(clips, seed=1))
    more = split_of_files(assign(spans("abc", 31)))
    assert sum(first[path] != more[path] for path in first) <= 6


def test_all_clips_of_a_file_stay_together():
    clips = [LabelledSpan(path=f"{i}.mp4", label=label) for i in range(40) for label in "abc"]
    clips += [LabelledSpan(path=f"{i}.mp4", label="rare", start=50) for i in range(4)]
    assigned = assign(clips)
    files = Counter(split_of_files(assigned).values())
    assert files == {"train": 28, "val": 6, "test": 6}
    assert sum(s.split == "train" for s in assigned if s.label == "rare") >= 1


def test_small_classes_keep_a_training_video_and_give_their_share_together():
    assigned = assign(spans([f"c{i}" for i in range(20)], 2))
    counts = Counter(s.split for s in assigned)
    assert counts["train"] >= 20 and counts["val"] == 6 and counts["test"] == 6
    assert {s.label for s in assigned if s.split == "train"} == {f"c{i}" for i in range(20)}


def test_a_missing_split_is_taken_from_train_alone():
    clips = spans("ab", 20, split="train") + spans("ab", 5, split="test", prefix="t/")
    assigned = assign(clips)
    assert Counter(s.split for s in assigned) == {"train": 34, "val": 6, "test": 10}
    assert all((s.split == "test") == s.path.startswith("t/") for s in assigned)
    clips = spans("ab", 20, split="train") + spans("ab", 5, split="val", prefix="v/")
    assert Counter(s.split for s in assign(clips)) == {"train": 34, "test": 6, "val": 10}


def test_named_splits_are_left_alone():
    clips = [s for split in ("train", "val", "test") for s in spans("ab", 2, split=split, prefix=split)]
    assert assign(clips) == clips


@pytest.mark.parametrize(
    ("clips", "words"),
    [
        (spans("a", 9), ["two classes", "'a'"]),
        (spans("ab", 1), ["no class has a second one", "2 videos"]),
        (spans("ab", 2, split="val") + spans("ab", 2, split="test"), ["train split", "test, val"]),
        (spans("ab", 9, split="train") + spans("c", 2, split="test"), ["'c' has none", "2 in test"]),
    ],
)
def test_what_cannot_be_split_is_refused(clips, words, refused):
    refused(lambda: assign(clips), *words)
