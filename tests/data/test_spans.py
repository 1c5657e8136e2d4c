"""Placing spans in videos, and windows in stored clips."""

import numpy as np
import pytest

from tvnjax.data.spans import ShortSpanError, SpanOutsideVideoError, place_span, window_starts


def place(start, end, frames, *, window=8, jitter=2, short_spans="widen"):
    return place_span(start, end, frames, window=window, jitter=jitter, short_spans=short_spans)


def starts(placement, window):
    bounds = window_starts(np.array([placement.span]), np.array([placement.valid]), window)
    return tuple(int(placement.indices[int(bound[0])]) for bound in bounds)


@pytest.mark.parametrize(
    ("start", "end", "expected"),
    [
        # Long spans: windows stay inside, and within the jitter of the centre.
        (20, 28, (20, 20, 20)),
        (20, 30, (20, 21, 22)),
        (20, 50, (29, 31, 33)),
        # Short spans: windows hold the whole span.
        (20, 27, (19, 19, 20)),
        (20, 24, (16, 18, 20)),
        (30, 31, (24, 26, 28)),
        # At the ends of the video windows give way.
        (0, 3, (0, 0, 0)),
        (1, 4, (0, 0, 1)),
        (73, 75, (67, 67, 67)),
    ],
)
def test_training_windows_lie_inside_the_span_or_hold_it(start, end, expected):
    placement = place(start, end, 75)
    assert len(placement.indices) == 12
    assert starts(placement, 8) == expected
    assert placement.widened == (end - start < 8)


def test_no_window_touches_a_frame_that_the_video_does_not_have():
    rng = np.random.default_rng(0)
    for _ in range(500):
        frames = int(rng.integers(8, 20))
        start = int(rng.integers(0, frames))
        end = int(rng.integers(start + 1, frames + 1))
        jitter, window = int(rng.integers(0, 5)), int(rng.integers(1, 9))
        placement = place(start, end, frames, jitter=jitter)
        bounds = window_starts(np.array([placement.span]), np.array([placement.valid]), window)
        first, centre, last = (int(bound[0]) for bound in bounds)
        assert 0 <= first <= centre <= last <= len(placement.indices) - window
        for at in (first, last):
            taken = placement.indices[at : at + window]
            assert np.array_equal(taken, np.arange(taken[0], taken[0] + window))
            inside = start <= taken[0] and taken[-1] < end
            assert inside or (taken[0] <= start and end <= taken[-1] + 1)


def test_the_centred_window_is_the_middle_of_the_video():
    placement = place(0, None, 75)
    assert placement.indices[starts(placement, 8)[1] - placement.indices[0]] == 33
    assert not placement.widened


def test_hold_repeats_the_last_frame_of_the_span_and_nothing_before_it():
    placement = place(20, 23, 75, short_spans="hold")
    assert placement.indices.tolist() == [20, 21] + [22] * 10
    assert placement.held and starts(placement, 8) == (20, 20, 20)


@pytest.mark.parametrize(
    ("start", "end", "frames", "indices"),
    [
        (0, 5, 5, [0, 1, 2, 3, *[4] * 8]),
        (1, 3, 5, [0, 1, 2, 3, *[4] * 8]),
        (4, None, 5, [0, 1, 2, 3, *[4] * 8]),
        (0, 1, 1, [0] * 12),
        (2, 5, 7, [0, 1, 2, 3, 4, 5, *[6] * 6]),
    ],
)
def test_widen_takes_in_a_short_video_and_holds_its_last_frame(start, end, frames, indices):
    placement = place(start, end, frames)
    assert placement.indices.tolist() == indices and placement.held
    assert placement.widened == (start > 0 or (end or frames) < frames)
    assert starts(placement, 8) == (0, 0, 0)


def test_shorter_windows_of_a_short_video_are_those_of_a_set_made_for_them():
    """A set is made for the longest window; whether a video is shorter than that must change nothing for the others."""
    rng = np.random.default_rng(0)
    for _ in range(500):
        frames = int(rng.integers(1, 16))
        start = int(rng.integers(0, frames))
        end = int(rng.integers(start + 1, frames + 1))
        window = int(rng.integers(1, 9))
        for short_spans in ("widen", "hold"):
            long = place(start, end, frames, window=16, jitter=0, short_spans=short_spans)
            own = place(start, end, frames, window=window, jitter=0, short_spans=short_spans)
            _, at, _ = (int(b[0]) for b in window_starts(np.array([long.span]), np.array([long.valid]), window))
            assert long.indices[at : at + window].tolist() == own.indices.tolist()


def test_hold_leaves_long_spans_alone():
    assert np.array_equal(place(20, 40, 75, short_spans="hold").indices, place(20, 40, 75).indices)


@pytest.mark.parametrize(
    ("start", "end", "frames", "short_spans", "error"),
    [
        (70, 76, 75, "widen", SpanOutsideVideoError),
        (75, None, 75, "hold", SpanOutsideVideoError),
        (0, 7, 75, "error", ShortSpanError),
    ],
)
def test_spans_that_cannot_be_placed(start, end, frames, short_spans, error):
    with pytest.raises(error, match=str(frames) if short_spans != "error" else "7"):
        place(start, end, frames, short_spans=short_spans)
