"""How a set of clips was made: what has to be the same wherever a network that was trained on it is used again."""

import dataclasses
import types
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal, TypedDict, Union, get_args, get_origin, get_type_hints

from tvnjax.core.errors import InvalidInputError
from tvnjax.core.to_json import jsonable
from tvnjax.data.arrays import ArrayData
from tvnjax.data.clips import ClipSet
from tvnjax.data.planted import PlantedData
from tvnjax.data.procedural import ProceduralData
from tvnjax.data.recipe import ClipSource
from tvnjax.data.video_folder import VideoData

_SOURCES: dict[str, type[Any]] = {kind.__name__: kind for kind in (ProceduralData, PlantedData, VideoData, ArrayData)}
_MOST = 2**31 - 1
"""Of any number in a description; beyond it, it is a damaged one."""
_PATHS = ("manifest", "folder")


class ClipSizes(TypedDict):
    """What a set is prepared for: the longest window and the largest image that a network reads of it."""

    num_frames: int
    frame_stride: int
    image_size: int


@dataclasses.dataclass(frozen=True, kw_only=True)
class Preparation:
    """The arguments of ``tvnjax.data.clips.prepare`` and what they came to."""

    source: ClipSource
    """Where the clips are from, and how they are split, cut and stored."""
    num_frames: int
    """Frames of the longest window the set was prepared for, ``frame_stride`` apart."""
    frame_stride: int
    image_size: int
    """Side in pixels of the largest image the set was prepared for."""
    fingerprint: str
    """Of the set; see :class:`tvnjax.data.clips.ClipSet`."""

    @classmethod
    def of(
        cls, source: ClipSource, clips: ClipSet, *, num_frames: int, frame_stride: int, image_size: int
    ) -> "Preparation":
        """Of a set that was prepared; paths become absolute, so that they mean the same from any working directory."""
        found = {name: getattr(source, name, None) for name in _PATHS}
        absolute = {name: Path(path).absolute() for name, path in found.items() if path is not None}
        placed: Any = dataclasses.replace(source, **absolute) if absolute else source  # type: ignore[type-var]
        return cls(
            source=placed,
            num_frames=num_frames,
            frame_stride=frame_stride,
            image_size=image_size,
            fingerprint=clips.fingerprint,
        )

    @property
    def window(self) -> int:
        """Frames of the video from the first to the last that the longest window spans."""
        return (self.num_frames - 1) * self.frame_stride + 1

    @property
    def video(self) -> VideoData | None:
        """The source where it is video, whose clips are cut and scaled; None where clips are drawn or were arrays."""
        return self.source if isinstance(self.source, VideoData) else None

    def as_json(self) -> dict[str, Any]:
        """What :meth:`from_json` reads."""
        fields = {field.name: getattr(self, field.name) for field in dataclasses.fields(self)}
        return jsonable(fields)

    @property
    def sizes(self) -> ClipSizes:
        return {"num_frames": self.num_frames, "frame_stride": self.frame_stride, "image_size": self.image_size}

    @classmethod
    def from_json(cls, told: Any, where: object) -> "Preparation | None":
        """Reads a preparation from parsed JSON; None comes back as None.

        Args:
          where: the file, for messages.

        Raises:
          InvalidInputError: a field is missing or of the wrong kind, or the source refuses one.
        """
        if told is None:
            return None
        if not isinstance(told, dict):
            raise InvalidInputError(f"how clips were made is a JSON object; {where} has {type(told).__name__}")
        known = {field.name for field in dataclasses.fields(cls)} - {"source"}
        _check_fields(cls, {name: value for name, value in told.items() if name != "source"}, known, where)
        source = source_from_json(told.get("source"), where)
        fields: dict[str, Any] = {name: told[name] for name in known}
        for name in ("num_frames", "frame_stride", "image_size"):
            if fields[name] < 1:
                raise InvalidInputError(f"{name} is at least 1; {where} has {fields[name]}")
        return cls(source=source, **fields)


def source_from_json(told: Any, where: object) -> ClipSource:
    """Reads a source of clips as :func:`tvnjax.core.to_json.jsonable` writes it; options it does not name keep their
    defaults.

    Raises:
      InvalidInputError: it is no source, has an unknown option, or one of the wrong kind.
    """
    kind = _SOURCES.get(told["type"]) if isinstance(told, dict) and isinstance(told.get("type"), str) else None
    if kind is None:
        raise InvalidInputError(
            f"a source of clips is one of {', '.join(_SOURCES)}; {where} has {told!r:.60}: it is damaged, or of a "
            "newer version"
        )
    fields = {name: value for name, value in told.items() if name != "type"}
    _check_fields(kind, fields, set(), where)
    made = {name: Path(value) if name in _PATHS and value is not None else value for name, value in fields.items()}
    return kind(**made)


def _check_fields(kind: type, fields: Mapping[str, Any], needed: set[str], where: object) -> None:
    hints = get_type_hints(kind)
    known = {field.name for field in dataclasses.fields(kind)}  # type: ignore[arg-type]
    for name in sorted((set(fields) - known) | (needed - set(fields))):
        what = "is missing" if name in needed else "is no field of it: the file is of another version"
        raise InvalidInputError(f"{where} says how clips were made as {kind.__name__}; {name!r:.60} {what}")
    for name, value in fields.items():
        if not _fits(value, hints[name]):
            raise InvalidInputError(f"{where} says how clips were made; its {name} cannot be {value!r:.60}")


def _fits(value: Any, hint: Any) -> bool:
    """Whether a value of JSON is one of a field: numbers in range, booleans no numbers, paths as text."""
    if get_origin(hint) in (Union, types.UnionType):
        return any(_fits(value, one) for one in get_args(hint))
    if get_origin(hint) is Literal:
        return value in get_args(hint)
    if get_origin(hint) is tuple:
        return isinstance(value, list) and all(_fits(item, get_args(hint)[0]) for item in value)
    if hint is Path:
        return isinstance(value, str) and "\0" not in value
    if hint in (int, float):
        return (
            isinstance(value, (int, float) if hint is float else int)
            and not isinstance(value, bool)
            and abs(value) <= _MOST
        )
    return isinstance(value, hint)
