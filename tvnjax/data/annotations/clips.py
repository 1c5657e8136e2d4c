"""Clips as the annotation files of a set name them, each once, with one label and one split."""

from collections import Counter
from dataclasses import dataclass, field

from tvnjax.core.errors import InvalidInputError
from tvnjax.data.manifest import MAX_ROWS, check_label


@dataclass(frozen=True, kw_only=True, slots=True)
class AnnotatedClip:
    """One video file that a set names."""

    name: str
    """Of the file, without its suffix: videos are often stored anew in another container."""
    label: str
    split: str
    """train, val or test."""
    folder: str = ""
    """The folder it is said to lie in; empty: the set names none."""
    source: str = ""
    """What it was cut from: clips of one source look alike. Empty: nothing that others were cut from too."""
    whole: str = ""
    """The name its file has where it was stored without being cut."""


@dataclass(kw_only=True)
class Annotations:
    """What the files of a set name, collected and checked clip by clip."""

    clips: list[AnnotatedClip] = field(default_factory=list)
    left_out: Counter[str] = field(default_factory=Counter)
    """How many clips are not taken, by reason."""
    _known: dict[tuple[str, str], AnnotatedClip] = field(default_factory=dict, repr=False)

    def add(self, clip: AnnotatedClip, where: str) -> None:
        """Takes a clip; one that is named again in the same way is counted and left out.

        Raises:
          InvalidInputError: its label is no label, it was named with another label or split before, or there are too
            many clips.
        """
        known = self._known.setdefault((clip.folder, clip.name), clip)
        if known is not clip:
            if (known.label, known.split) != (clip.label, clip.split):
                raise InvalidInputError(
                    f"a clip has one label and one split, but {where} has {clip.name!r} as {clip.label!r} in "
                    f"{clip.split} and an earlier line as {known.label!r} in {known.split}; correct one of them"
                )
            self.left_out["named twice"] += 1
            return
        check_label(clip.label, where)
        if len(self.clips) >= MAX_ROWS:
            raise InvalidInputError(
                f"a manifest has at most {MAX_ROWS:,} rows, but the files name more clips, as of {where}; "
                "give fewer files"
            )
        self.clips.append(clip)
