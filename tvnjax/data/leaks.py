"""Finds what a manifest says twice: clips on both sides of a split, and clips with two labels.

What must be wrong is refused; what may be meant is returned as a note. Every check sorts, so that two million rows take
seconds, all of them in one video, too.
"""

from bisect import bisect_left, bisect_right
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from itertools import groupby

from tvnjax.core.errors import InvalidInputError
from tvnjax.data.manifest import LabelledSpan
from tvnjax.data.naming import note

_OPEN = 10**10
"""Stands for the end of a video: beyond any frame a manifest can name."""


def check_rows(spans: Sequence[LabelledSpan]) -> list[str]:
    """Checks spans that have their splits, and one name per file.

    Returns notes on rows that are repeated, on spans that share up to half of the shorter one with a span of another
    split, on videos with spans in several splits that share no frame, and on spans without an end that take in spans
    of another label.

    Raises:
      InvalidInputError: one span has two labels or two splits, or two spans of different splits share more than half
        of the shorter one. A span without an end is the rest of the video.
    """
    by_file: dict[str, list[LabelledSpan]] = defaultdict(list)
    for span in spans:
        by_file[span.path].append(span)
    repeated, taken_in, sharing, apart = [], [], [], []
    for path, rows in by_file.items():
        if len(rows) == 1:
            continue
        repeated += _repeated(rows)
        taken_in += _taken_in(rows)
        if len({row.split for row in rows}) > 1:
            _check_halves(rows)
            shared = _sharing(rows)
            sharing += shared
            apart += [] if shared else [path]
    notes = []
    if repeated:
        so = "each counts as a clip of its own"
        notes.append(note("rows that repeat an earlier one", len(repeated), repr(repeated[0].name), so))
    if sharing:
        what = "spans that share frames with a span of another split, at most half of the shorter one"
        notes.append(note(what, len(sharing), f"{sharing[0].name!r} in {sharing[0].split}"))
    if apart:
        what = "videos with spans in several splits, which share no frame"
        notes.append(note(what, len(apart), repr(apart[0]), "the same scene is on both sides"))
    if taken_in:
        what = "spans without end_frame that go on over spans of another label"
        notes.append(note(what, len(taken_in), f"{taken_in[0].name!r}, {taken_in[0].label!r}"))
    return notes


def check_copies(spans: Sequence[LabelledSpan], digests: Mapping[str, str | None]) -> list[str]:
    """Checks files of other names and equal content; ``spans`` have their splits.

    Args:
      digests: of the content of each file, by path; None where it cannot be read.

    Returns notes on copies in several splits, on copies within one, and on spans of copies that have two labels: large
    sets have some of each.
    """
    paths: dict[str, set[str]] = defaultdict(set)
    for span in spans:
        if digest := digests.get(span.path):
            paths[digest].add(span.path)
    copies = {digest: sorted(names) for digest, names in paths.items() if len(names) > 1}
    if not copies:
        return []
    splits: dict[str, set[str]] = defaultdict(set)
    known: dict[tuple[str, int, int | None], LabelledSpan] = {}
    two_labels: list[LabelledSpan] = []
    for span in spans:
        digest = digests.get(span.path)
        if digest not in copies:
            continue
        splits[digest].add(span.split)
        other = known.setdefault((digest, span.start, span.end), span)
        if other.label != span.label:
            two_labels.append(span)
    notes = []
    if two_labels:
        first = two_labels[0]
        what = "clips that are copies of a clip with another label"
        notes.append(note(what, len(two_labels), f"{first.name!r}, {first.label!r}"))
    for where, chosen in (
        ("in several splits", [names for digest, names in copies.items() if len(splits[digest]) > 1]),
        ("within one split", [names for digest, names in copies.items() if len(splits[digest]) == 1]),
    ):
        if chosen:
            count = sum(map(len, chosen))
            first, second = chosen[0][:2]
            notes.append(note(f"files that are copies of others {where}", count, f"{first!r} and {second!r}"))
    return notes


def _end(span: LabelledSpan) -> int:
    return _OPEN if span.end is None else span.end


def _repeated(rows: Iterable[LabelledSpan]) -> list[LabelledSpan]:
    known: dict[tuple[int, int | None], LabelledSpan] = {}
    repeated = []
    for row in rows:
        other = known.setdefault((row.start, row.end), row)
        if other is row:
            continue
        if other.label != row.label:
            raise InvalidInputError(
                f"a clip has one label, but {row.name!r:.200} is {other.label!r} in {other.split} and {row.label!r} in "
                f"{row.split}; several labels of a clip are not supported: remove one of the rows"
            )
        if other.split != row.split:
            raise InvalidInputError(
                f"a clip belongs to one split, but {row.name!r:.200} is in {other.split} and in {row.split}; remove "
                "one of the rows"
            )
        repeated.append(row)
    return repeated


def _taken_in(rows: Sequence[LabelledSpan]) -> list[LabelledSpan]:
    """The spans without an end that share frames with a span of another label."""
    ends: dict[str, int] = {}
    for row in rows:
        ends[row.label] = max(ends.get(row.label, 0), _end(row))
    last = sorted(ends.items(), key=lambda item: -item[1])[:2]
    return [row for row in rows if row.end is None and any(e > row.start for label, e in last if label != row.label)]


def _sharing(rows: Iterable[LabelledSpan]) -> list[LabelledSpan]:
    """The spans that share a frame with a span of another split."""
    rows = list(rows)
    starts: dict[str, list[int]] = defaultdict(list)
    ends: dict[str, list[int]] = defaultdict(list)
    for row in rows:
        starts[row.split].append(row.start)
        ends[row.split].append(_end(row))
    for bounds in (*starts.values(), *ends.values()):
        bounds.sort()

    def met(row: LabelledSpan, split: str) -> bool:
        # Those that start before it ends, without those that end before it starts.
        return bisect_left(starts[split], _end(row)) > bisect_right(ends[split], row.start)

    return [row for row in rows if any(met(row, split) for split in starts if split != row.split)]


def _check_halves(rows: Iterable[LabelledSpan]) -> None:
    """Raises InvalidInputError where spans of two splits share more than half of the shorter one.

    A span no shorter than another shares more than half of that one if and only if it holds its middle, not on the
    edge. So the spans are taken from the longest on: each asks whether a span of another split, taken before, holds its
    middle. Each middle is marked once per split, so the time is that of sorting.
    """
    rows = sorted(rows, key=lambda row: row.start - _end(row))
    middles = sorted({row.start + _end(row) for row in rows})  # times two, to stay whole
    holders: dict[str, dict[int, LabelledSpan]] = defaultdict(dict)
    unmarked: dict[str, list[int]] = defaultdict(lambda: list(range(len(middles) + 1)))
    for _, group in groupby(rows, key=lambda row: row.start - _end(row)):
        same_length = list(group)
        for row in same_length:
            holder, free = holders[row.split], unmarked[row.split]
            place = _next(free, bisect_right(middles, 2 * row.start))
            while place < len(middles) and middles[place] < 2 * _end(row):
                holder[place] = row
                free[place] = place + 1
                place = _next(free, place)
        for row in same_length:
            place = bisect_left(middles, row.start + _end(row))
            for split, holder in holders.items():
                if split != row.split and place in holder:
                    other = holder[place]
                    raise InvalidInputError(
                        f"clips of different splits must not be the same, but {other.name!r:.200} in {other.split} and "
                        f"{row.name!r:.200} in {row.split} share more than half of the shorter one; put all spans of a "
                        "video into one split, or remove one of the rows"
                    )


def _next(free: list[int], place: int) -> int:
    """The first unmarked place from ``place`` on; the way there is shortened for the next time."""
    while free[place] != place:
        free[place] = free[free[place]]
        place = free[place]
    return place
