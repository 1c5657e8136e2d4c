"""What a manifest says twice: refused where it must be wrong, counted and said where it may be meant."""

import itertools
import math
import random
import time

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from tvnjax.core.errors import InvalidInputError
from tvnjax.data.leaks import check_copies, check_rows
from tvnjax.data.manifest import LabelledSpan


def clip(start=0, end=None, split="train", label="x", path="a.mp4"):
    return LabelledSpan(path=path, label=label, start=start, end=end, split=split)


@pytest.mark.parametrize(
    ("spans", "words"),
    [
        # One row on both sides, as whole videos and as spans.
        ([clip(split="train"), clip(split="test")], ["one split", "'a.mp4' is in train and in test"]),
        ([clip(3, 9, "val"), clip(20, 30), clip(3, 9, "test")], ["'a.mp4[3:9]' is in val and in test"]),
        # One span of two labels, within a split and across.
        ([clip(), clip(label="y")], ["one label", "'a.mp4' is 'x' in train and 'y' in train", "not supported"]),
        ([clip(3, 9), clip(3, 9, "val", "y")], ["'a.mp4[3:9]' is 'x' in train and 'y' in val"]),
        # More than half of the shorter one shared, in every order.
        ([clip(0, 10), clip(4, 14, "test")], ["more than half", "'a.mp4[0:10]' in train", "'a.mp4[4:14]' in test"]),
        ([clip(4, 14, "test"), clip(0, 10)], ["more than half"]),
        ([clip(0, 100), clip(40, 43, "val")], ["'a.mp4[0:100]' in train", "'a.mp4[40:43]' in val"]),
        ([clip(40, 43, "val"), clip(0, 100)], ["more than half"]),
        ([clip(0, 1), clip(0, 50, "test")], ["more than half"]),
        # A span without an end is the rest of the video.
        ([clip(10), clip(20, 30, "test")], ["'a.mp4[10:]' in train", "'a.mp4[20:30]' in test"]),
        ([clip(20, 30), clip(split="test")], ["'a.mp4' in test"]),
        ([clip(5), clip(500, None, "test")], ["'a.mp4[5:]' in train", "'a.mp4[500:]' in test"]),
        # Found among many others.
        ([*(clip(20 * i, 20 * i + 9) for i in range(50)), clip(404, 412, "val")], ["'a.mp4[400:409]' in train"]),
    ],
)
def test_what_must_be_wrong_is_refused(spans, words, refused):
    for order in (spans, spans[::-1]):
        refused(lambda order=order: check_rows(order))
    refused(lambda: check_rows(spans), *words)
    others = [clip(path=f"{split}.mp4", split=split) for split in ("train", "val", "test")]
    refused(lambda: check_rows([*others, *spans]), *words)


@pytest.mark.parametrize(
    ("spans", "notes"),
    [
        ([clip(), clip(path="b.mp4", split="test")], []),
        ([clip(0, 10), clip(5, 15), clip(2, 7, label="y")], []),  # within one split they may overlap
        (
            [clip(3, 9), clip(3, 9), clip(3, 9), clip(path="b.mp4"), clip(path="b.mp4")],
            ["rows that repeat an earlier one: 3 (first 'a.mp4[3:9]'); each counts as a clip of its own"],
        ),
        (
            [clip(0, 10), clip(5, 15, "test"), clip(40, 50)],
            [
                "spans that share frames with a span of another split, at most half of the shorter one: "
                "2 (first 'a.mp4[0:10]' in train)"
            ],
        ),
        (
            [clip(0, 10), clip(10, 20, "test"), clip(0, 9, "val", path="b.mp4"), clip(30, None, path="b.mp4")],
            [
                "videos with spans in several splits, which share no frame: 2 (first 'a.mp4'); the same scene is on "
                "both sides"
            ],
        ),
        (
            [clip(5), clip(2, 6, label="y"), clip(0, 5, label="z"), clip(8, 9)],
            ["spans without end_frame that go on over spans of another label: 1 (first 'a.mp4[5:]', 'x')"],
        ),
    ],
)
def test_what_may_be_meant_is_counted(spans, notes):
    assert check_rows(spans) == notes


def shared(one, other):
    """The plain formula: frames that both have, and the length of the shorter one."""
    ends = [math.inf if span.end is None else span.end for span in (one, other)]
    return min(ends) - max(one.start, other.start), min(ends[0] - one.start, ends[1] - other.start)


SPANS = st.builds(
    lambda start, length, split, path: clip(start, None if length is None else start + length, split, "x", path),
    st.integers(0, 30),
    st.none() | st.integers(1, 14),
    st.sampled_from(["train", "val", "test"]),
    st.sampled_from(["a.mp4", "a.mp4", "b.mp4"]),
)


@settings(max_examples=1500, deadline=None)
@given(st.lists(SPANS, max_size=9))
@example([clip(0, 2), clip(1, 2, "val"), clip(1, 3, "test")])
@example([clip(0, 4), clip(2, 6, "val")])
@example([clip(0, 3), clip(1, 4, "val")])
def test_any_spans_are_judged_as_the_plain_formula_does(spans):
    """Every pair of different splits, against what is found by sorting."""
    pairs = [
        (one, other, *shared(one, other))
        for one, other in itertools.combinations(spans, 2)
        if one.path == other.path and one.split != other.split
    ]
    wrong = any(frames > shorter / 2 or frames == math.inf for _, _, frames, shorter in pairs)
    try:
        notes = "\n".join(check_rows(spans))
    except InvalidInputError as error:
        assert wrong, error
        return
    assert not wrong
    sharing = {id(span) for one, other, frames, _ in pairs if frames > 0 for span in (one, other)}
    assert (f"at most half of the shorter one: {len(sharing)} (" in notes) == bool(sharing)
    with_sharing = {one.path for one, _, frames, _ in pairs if frames > 0}
    apart = {one.path for one, _, _, _ in pairs} - with_sharing
    assert (f"share no frame: {len(apart)} (" in notes) == bool(apart)
    repeated = len(spans) - len({(s.path, s.start, s.end) for s in spans})
    assert (f"repeat an earlier one: {repeated} (" in notes) == bool(repeated)


@pytest.mark.parametrize("videos", [200_000, 100_000, 1])
def test_many_rows_take_no_longer_than_sorting_them(videos):
    """Each pair of 200,000 rows of one video would take hours; it takes a second."""
    count, rng = 200_000, random.Random(0)
    per_video = count // videos
    spans = [
        clip(start, start + 24, rng.choice(("train", "val")), "x", f"{i // per_video}.mp4")
        for i in range(count)
        for start in [20 * (i % per_video)]
    ]
    rng.shuffle(spans)
    began = time.process_time()
    notes = check_rows(spans)
    assert time.process_time() - began < 10
    assert len(notes) == (videos < count)


def test_nested_spans_of_one_video_take_no_longer():
    """Each holds all that follow, and none reaches the middle of one of the other split."""
    count = 100_000
    spans = [clip(i, 2 * count - i, "train") for i in range(count)]
    spans += [clip(4 * count + i, 6 * count - i, "test") for i in range(count)]
    began = time.process_time()
    assert ["share no frame" in note for note in check_rows(spans)] == [True]
    assert time.process_time() - began < 10


def test_copies_under_other_names():
    spans = [clip(path="a.mp4"), clip(path="b.mp4", split="test"), clip(path="c.mp4"), clip(path="d.mp4")]
    spans += [clip(path="e.mp4", split="val"), clip(0, 5, "val", "y", "f.mp4"), clip(5, 9, "val", "z", "f.mp4")]
    digests = {"a.mp4": "1", "b.mp4": "1", "c.mp4": "2", "d.mp4": "2", "e.mp4": None, "f.mp4": "3"}
    assert check_copies(spans, digests) == [
        "files that are copies of others in several splits: 2 (first 'a.mp4' and 'b.mp4')",
        "files that are copies of others within one split: 2 (first 'c.mp4' and 'd.mp4')",
    ]
    assert check_copies(spans, {}) == check_copies(spans, dict.fromkeys(digests)) == []


def test_copies_with_other_labels_are_said():
    spans = [clip(path="a.mp4"), clip(path="b.mp4", label="y", split="test")]
    said = check_copies(spans, {"a.mp4": "1", "b.mp4": "1"})
    assert said[0] == "clips that are copies of a clip with another label: 1 (first 'b.mp4', 'y')"
    assert check_copies(spans, {"a.mp4": "1", "b.mp4": "2"}) == []
    parts = [clip(0, 5), clip(5, 9, label="y", path="b.mp4")]
    assert len(check_copies(parts, {"a.mp4": "1", "b.mp4": "1"})) == 1, "other spans may have other labels"
