"""Words the input uses for splits, labels that look alike, and the form of what is said of the input."""

import re
import unicodedata
from collections import defaultdict
from collections.abc import Iterable

from tvnjax.core.errors import InvalidInputError

SPLIT_NAMES = {
    "train": ("train", "training"),
    "val": ("val", "valid", "validation", "dev"),
    "test": ("test", "testing"),
}
"""What each split may be called, in any case. (``eval`` is left out: it is used for both val and test.)"""
_SPLITS = {name: split for split, names in SPLIT_NAMES.items() for name in names}


def split_named(text: str) -> str | None:
    """Returns ``train``, ``val`` or ``test`` for any of its names, in any case and with spaces around it, or None."""
    return _SPLITS.get(text.strip().casefold())


def note(what: str, count: int, first: str, so: str = "") -> str:
    """Returns one line on something that may be meant: ``what: 3 (first x); so``."""
    return f"{what}: {count:,} (first {first:.200}){'; ' * bool(so)}{so}"


def composed(text: str) -> str:
    """Returns the text in Unicode's normal form NFC: two texts that look the same to a reader are then equal."""
    return unicodedata.normalize("NFC", text)


def check_labels(labels: Iterable[str]) -> list[str]:
    """Returns a note on labels that differ only in case, spaces, ``_`` or ``-``: they stay different classes.

    Raises:
      InvalidInputError: two labels are the same text in different Unicode forms, which nobody can tell apart.
    """
    same_text: dict[str, str] = {}
    alike: dict[str, list[str]] = defaultdict(list)
    for label in sorted(set(labels)):
        if (other := same_text.setdefault(composed(label), label)) != label:
            raise InvalidInputError(
                f"a class must be written in one way, but the labels {other!a} and {label!a} are the same "
                "text in two Unicode forms; write all of them in one form (NFC)"
            )
        plain = unicodedata.normalize("NFKC", label).casefold().strip()
        alike[re.sub(r"(?<=\w)[\s_-]+(?=\w)", " ", plain)].append(label)
    groups = [group for group in alike.values() if len(group) > 1]
    if not groups:
        return []
    what = "labels that differ only in case, spaces, '_' or '-', and stay different classes"
    return [note(what, sum(map(len, groups)), ", ".join(map(repr, groups[0][:4])))]
