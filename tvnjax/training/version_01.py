"""How the clips of version 0.1 were made, whose weights do not say it: read from the options of their run."""

import dataclasses
from pathlib import Path
from typing import Any

from tvnjax.core.errors import InvalidInputError
from tvnjax.data.preparation import Preparation, source_from_json
from tvnjax.training.clips import ClipOptions, clip_source, window
from tvnjax.zoo.registry import ZooEntry
from tvnjax.zoo.resolve import reading
from tvnjax.zoo.run_facts import read_object


def clips_of_training(run: Path, entry: ZooEntry) -> dict[str, Any]:
    """``clips`` and ``trained_on`` of a :class:`TrainedNetwork`, from the ``training.json`` of ``tvnjax train``; empty
    where it does not say.

    Raises:
        InvalidInputError: the file is no JSON.
    """
    if not (run / "training.json").is_file():
        return {}
    told, names = read_object(run / "training.json"), {field.name for field in dataclasses.fields(ClipOptions)}
    options = told.get("clips")
    if not isinstance(options, dict):
        return {}
    read = reading(entry)
    sizes = {"num_frames": window(read), "frame_stride": 1, "image_size": read.image_size}
    try:
        kept: Any = {name: value for name, value in options.items() if name in names}
        source = clip_source(ClipOptions(**kept), [read])
    except (InvalidInputError, TypeError, ValueError):  # a place that is gone, or options that cannot be
        return {}
    clips = Preparation(source=source, **sizes, fingerprint="").as_json()
    return {"clips": clips, "trained_on": str(told.get("split", ""))[:40]}


def clips_of_search(run: Path) -> dict[str, Any]:
    """The same, from the ``config.json`` of ``tvnjax run``.

    Raises:
        InvalidInputError: the file is no JSON.
    """
    where = run / "config.json"
    config = read_object(where).get("config") if where.is_file() else None
    if not isinstance(config, dict) or not isinstance(config.get("data"), dict):
        return {}
    try:
        source = source_from_json(config["data"], where)
        shapes = config["shapes"]
        longest = (max(shapes["num_frames"]) - 1) * max(shapes["frame_stride"]) + 1
        clips = Preparation(
            source=source,
            num_frames=min(longest, source.clip_frames or longest),
            frame_stride=1,
            image_size=max(shapes["image_size"]),
            fingerprint="",
        ).as_json()
        Preparation.from_json(clips, where)
    except (InvalidInputError, TypeError, KeyError, ValueError):  # options that cannot be
        return {}
    return {"clips": clips, "trained_on": str(config.get("retrain_on", ""))[:40]}
