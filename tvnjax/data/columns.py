"""Which columns of a manifest are read: names are matched loosely, and names that may mean the same are refused.

A column that is passed over by mistake does harm in silence: without ``split`` test clips are trained on, without
``start_frame`` a span becomes a whole video. So a name that may stand for one of these is refused; any other unknown
column is reported.
"""

import difflib
import re
import unicodedata
from collections import defaultdict
from collections.abc import Sequence

from tvnjax.core.errors import InvalidInputError

_REQUIRED = ("path", "label")
_OPTIONAL = ("start_frame", "end_frame", "split")
MAX_COLUMNS = 1000

_UNIT = "(frames?|times?|timestamps?|s|secs?|seconds?|ms|idx|index|pos|f|t|video|clip|segment|action|label)?"
_SYNONYMS = {
    "path": r"(video|clip|media)?(paths?|files?|filenames?|filepaths?|names?|uri|url|location|src)|videos?|clips?",
    "label": r"(class|label|category|action)(es|names?)?|labels|categories|targets?|actions?|tags?|gloss|y",
    "start_frame": f"{_UNIT}(start|begin|beginning|onset|first|from){_UNIT}",
    "end_frame": f"{_UNIT}(end|stop|finish|last|until|to|offset){_UNIT}",
    "split": r"(data|official)?(splits?|subsets?|partitions?|folds?|phase|usage)(name|id|no|index|number)?"
    r"|(data)?set(name|type)|set|(is)?(train|training|val|valid|validation|test|testing|dev)(set)?",
}
_LENGTHS = r"(num|n|number|frame)?(of)?(frames?|count)|duration|length|len"
_ADVICE = {
    "path": "",
    "label": "",
    "start_frame": " (in frames, counted from 0)",
    "end_frame": " (in frames, one past the last)",
    "split": " (train, val or test)",
}


def find_columns(header: Sequence[str], where: str) -> tuple[dict[str, int], list[int]]:
    """Returns the position of each column that is read, by its name, and the positions of all others.

    Case, spaces around a name, and spaces or ``-`` in place of ``_`` do not matter.

    Args:
      where: names the file in messages.

    Raises:
      InvalidInputError: ``path`` or ``label`` is missing, two columns have one name, or a column that is not read has
        a name that may mean ``start_frame``, ``end_frame`` or ``split``.
    """
    if len(header) > MAX_COLUMNS:
        raise InvalidInputError(
            f"a manifest has at most {MAX_COLUMNS:,} columns, but {where} has {len(header):,}; remove some"
        )
    places: dict[str, list[int]] = defaultdict(list)
    for place, name in enumerate(header):
        places[_plain(name)].append(place)
    found: dict[str, int] = {}
    for name in (*_REQUIRED, *_OPTIONAL):
        named = places.get(name, [])
        if len(named) > 1:
            raise InvalidInputError(
                f"each column may appear once, but {where} has {name} {len(named)} times "
                f"({', '.join(repr(header[place]) for place in named[:4]):.200}); remove one"
            )
        if named:
            found[name] = named[0]
    others = [place for place in range(len(header)) if place not in found.values()]
    meant = {place: _meant(_plain(header[place])) for place in others}
    _check_required(header, found, meant, where)
    for place in others:
        role = meant[place]
        if role is None and {"start_frame", "end_frame"} & found.keys() == {"start_frame"}:
            role = "end_frame" if re.fullmatch(_LENGTHS, _squashed(_plain(header[place]))) else None
        if role in _OPTIONAL:
            beside = " beside it" if role in found else ""
            raise InvalidInputError(
                f"a column that may mean {role} must have that name, but {where} has {header[place]!r:.60}{beside}; "
                f"rename it to {role}{_ADVICE[role]}, or remove it"
            )
    return found, others


def _check_required(header: Sequence[str], found: dict[str, int], meant: dict[int, str | None], where: str) -> None:
    for name in _REQUIRED:
        if name not in found:
            near = next((f" ({header[place]!r:.60} may be it)" for place, role in meant.items() if role == name), "")
            marks = any(mark in cell for cell in header for mark in ";\t|")
            remedy = "separate columns by commas" if marks else "rename or add the column"
            raise InvalidInputError(
                f"a manifest must have the columns path and label, but {where} lacks {name!r} and has "
                f"{', '.join(map(repr, header)):.300}{near}; {remedy}"
            )


def _plain(name: str) -> str:
    name = unicodedata.normalize("NFKC", name[:200]).replace("\ufeff", "").strip().casefold()
    return re.sub(r"[\s-]+", "_", name)


def _squashed(plain: str) -> str:
    return re.sub(r"[\W_]", "", plain)


def _meant(plain: str) -> str | None:
    """The column that a name may stand for: a synonym, or nearly the name itself."""
    squashed = _squashed(plain)
    for role, pattern in _SYNONYMS.items():
        if re.fullmatch(pattern, squashed):
            return role
    names = {_squashed(name): name for name in (*_REQUIRED, *_OPTIONAL)}
    near = difflib.get_close_matches(squashed[:40], names, n=1, cutoff=0.8)
    return names[near[0]] if near else None
