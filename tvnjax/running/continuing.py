"""Going on with a run: the configuration it began with, what a given one differs in, and copies that may differ."""

import contextlib
import dataclasses
import importlib.metadata
import json
import os
import shlex
import warnings
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from tvnjax.core.atomic import copy_into, is_partial, write_atomic, write_folder
from tvnjax.core.errors import InvalidInputError
from tvnjax.core.jsonl import history, read_lines
from tvnjax.core.links import refuse_links
from tvnjax.core.lock import LOCK_FILE, unwritten
from tvnjax.core.run_dir import finished_seq, read_json, write_json
from tvnjax.core.to_json import json_bytes, jsonable, whole_number
from tvnjax.running.config import RunConfig
from tvnjax.running.config_values import from_plain
from tvnjax.running.distributed import Distributed, without_place
from tvnjax.search.registry import GRADIENT

_CONFIG = "config.json"
_PLACES = ("data.manifest", "data.folder")
_FREE = ("out", "checkpoint_seconds", "data.max_skipped", "search.resident_gb", *_PLACES)
"""What may differ between two halves of a run: nothing that is found depends on it. Of the data, what the clips hold is
compared, not the place they are read from."""
_PLACE = "distributed."
"""What begins the names of options that say which process this is."""
_LATE = {"retrain": "retrained-", "retrain_on": "retrained-", "retrain_seeds": None}
"""Options that only some stages depend on, by what the names of these begin with; none, where stages are only added."""
_OF_BASELINES = (
    *("strategies", "evolution", "regularized", "halving", "sharing", "optuna", "workers", "evaluation"),
    *("baseline_seconds", "baseline_ratio", "baseline_networks"),
)
_KEPT_BY_BASELINES = ("data", "profile", "drift", f"{GRADIENT.name}-")


def begin(config: RunConfig, out: Path, command: str, argv: Sequence[str] | None, devices: int | None = None) -> None:
    """Writes what a run is asked for.

    Args:
        devices: that its search by gradient has.
    """
    # Which process this was says nothing of a run: it may go on on one, or on others.
    config = dataclasses.replace(config, distributed=Distributed())
    argv = None if argv is None else without_place(list(argv))
    about = {"command": command, "argv": argv, "config": config, "versions": _versions(), "devices": devices}
    write_json(out / _CONFIG, about)


def check_devices(out: Path, devices: int | None) -> None:
    """Refuses to go on with a reproducible run on more or fewer devices, whose sums are rounded otherwise.

    Args:
        devices: that its search by gradient has now, of all processes.

    Raises:
        InvalidInputError: it began with another number.
    """
    before = _begun(out).get("devices")
    if before is not None and before != devices:
        raise InvalidInputError(
            f"a reproducible run goes on with as many devices as it began with, whichever processes have them; {out} "
            f"began with {before!r:.20}, now {devices}: begin that many processes or give them more devices"
        )


def begun_argv(out: Path) -> list[str] | None:
    """The arguments a run was begun with; ``None`` for one that was begun from Python.

    Raises:
        InvalidInputError: there is no run, or its arguments are damaged.
    """
    argv = _begun(out).get("argv")
    if argv is None:
        return None
    if not isinstance(argv, list) or not all(isinstance(part, str) for part in argv):
        raise InvalidInputError(
            f"a run's {_CONFIG} names its arguments, or none; {out / _CONFIG} has {argv!r:.60}: it is damaged, begin "
            "anew"
        )
    return argv


def begun_config(out: Path) -> RunConfig:
    """The configuration a run was begun with, from the command line or from Python.

    Raises:
        InvalidInputError: there is no run, or its configuration is damaged or of another version.
    """
    return from_plain(RunConfig, _begun(out)["config"], str(out / _CONFIG))


def check_continues(config: RunConfig, out: Path) -> None:
    """Refuses another configuration than the run began with.

    Raises:
        InvalidInputError: it differs; the message says in what.
    """
    begun = _begun(out)
    before, now = begun.get("versions"), _versions()
    before = before if isinstance(before, dict) else {}
    other = [
        f"{name} {before.get(name)!s:.40}, now {now[name]}" for name in now if before and before.get(name) != now[name]
    ]
    if other:
        warnings.warn(
            f"the run in {out} began with {'; '.join(other)}: what it comes to may differ from a run in one go",
            stacklevel=2,
        )
    changed = differences(begun["config"], config)
    places = _other_places(begun["config"], config)
    if places and not changed and (out / "results.json").is_file():
        raise InvalidInputError(
            f"of a finished run the report is written again, and no clips are read; in {out} {_shown(places)}: leave "
            "it out, copy the run with --fork NEW_DIR, or begin another"
        )
    if changed:
        raise InvalidInputError(
            f"a run goes on with the options it began with; in {out} {_shown(changed)}: leave them out, or copy the "
            "run with --fork NEW_DIR and change the copy"
        )


def refuse_unfinished(config: RunConfig, out: Path) -> None:
    """Says how to go on, where a new run is to be begun in a directory that holds an unfinished one.

    Raises:
        InvalidInputError: it holds one.
    """
    refuse_links(out)
    if not (out / _CONFIG).is_file() or (out / "results.json").is_file():
        return
    begun = read_json(out / _CONFIG)
    if not isinstance(begun, dict) or "config" not in begun:
        return
    # Here a new run was asked for: one of clips from elsewhere is not the one that is to be gone on with.
    changed = [*differences(begun["config"], config), *_other_places(begun["config"], config)]
    how = f"'tvnjax run --resume {shlex.quote(str(out))}'" if begun.get("argv") else f"tvnjax.run(resume={str(out)!r})"
    if changed:
        raise InvalidInputError(
            f"{out} holds an unfinished run with other options ({_shown(changed)}): go on with its own by {how}, or "
            "name another directory with --out"
        )
    raise InvalidInputError(f"{out} holds an unfinished run with these options: go on by {how}")


def fork(config: RunConfig, out: Path, new: Path, command: str, argv: Sequence[str] | None) -> list[str]:
    """Copies a run, so that the copy goes on with other options; returns the options that differ.

    Stages that do not depend on them are kept: all searches where only the retraining changed, the gradient search
    where only other strategies did, none otherwise.

    The copy is there whole or not at all.

    Raises:
        InvalidInputError: the new directory holds something, is the run's own or below it, or cannot be written; there
            is no run, or a process is writing it.
    """
    begun = _begun(out)
    before = begun["config"]
    changed, places = differences(before, config), _other_places(before, config)
    try:
        # As it is named from here on: what is not there yet must not move with a folder of today.
        new = Path(os.path.realpath(new))
        if Path(os.path.realpath(out)) in (new, *new.parents):
            raise InvalidInputError(f"a copy of a run lies outside of it; {new} is {out} or below it: name another")
        if os.path.lexists(new) and (not new.is_dir() or any(new.iterdir())):
            raise InvalidInputError(f"a run is copied to an empty directory; {new} is none: name another")
        with unwritten(out), write_folder(new) as copy:
            _fill(out, copy, changed, finish=not (changed or places))
            begin(config, copy, command, argv, None if changed else begun.get("devices"))
    except InvalidInputError:
        raise
    except (OSError, ValueError) as error:
        # Of a path with a null character, which no system has, Python raises a ValueError.
        where, reason = new, str(error)
        if isinstance(error, OSError):
            source = isinstance(error.filename, str) and error.filename.startswith(f"{out}{os.sep}")
            where, reason = error.filename if source else new, error.strerror
        raise InvalidInputError(
            f"a run is copied from a directory that can be read to one that can be written; {where}: {reason}: make "
            "room, give permission, or name another with --fork; nothing was copied"
        ) from None
    return [path for path, _, _ in (*changed, *places)]


def _fill(out: Path, copy: Path, changed: Sequence[tuple[str, Any, Any]], *, finish: bool) -> None:
    """Copies what does not depend on what changed.

    Args:
        finish: the copy of a finished run is a finished one. Otherwise it goes on, and compares its clips with those
            the run began with, wherever they lie now.
    """
    names = {path.split(".")[0] for path, _, _ in changed}
    stages, keep = out / "stages", {path.name for path in (out / "stages").glob("*")}
    if not names <= set(_LATE) | set(_OF_BASELINES):
        keep = set()
    elif names & set(_OF_BASELINES):
        keep = {name for name in keep if name.startswith(_KEPT_BY_BASELINES)}
    elif again := tuple(_LATE[name] for name in names if _LATE[name]):
        keep = {name for name in keep if not name.startswith(again)}
    copied = [path for path in out.iterdir() if path.name not in (LOCK_FILE, "stages", _CONFIG)]
    if not finish:
        done = ("results.json", "report.html", "report.md", "events.jsonl", "figures")
        copied = [path for path in copied if path.name not in done] if keep else []
        if keep and (out / "events.jsonl").is_file():
            _copy_events(out, copy, keep)
    for path in copied:
        if not is_partial(path.name):
            copy_into(path, copy / path.name)
    for name in sorted(keep):
        copy_into(stages / name, copy / "stages" / name)


def differences(before: Any, config: RunConfig) -> list[tuple[str, Any, Any]]:
    """Path, value before and value now of every option that differs."""
    now = json.loads(json.dumps(jsonable(config)))
    before = before if isinstance(before, dict) else {}
    flat_before, flat_now = _flat(before), _flat(now)
    # Sums over other parts of a batch are rounded otherwise: a run that is to be the same to the bit keeps to them.
    free = _FREE if config.reproducible else (*_FREE, "devices")
    return [
        (path, flat_before.get(path), flat_now.get(path))
        for path in dict.fromkeys([*flat_before, *flat_now])
        if path not in free and not path.startswith(_PLACE) and flat_before.get(path) != flat_now.get(path)
    ]


def compared_options(config: RunConfig) -> dict[str, Any]:
    """All options by their paths but those that say which process this is, as JSON knows them."""
    flat = _flat(json.loads(json.dumps(jsonable(config))))
    return {path: value for path, value in flat.items() if not path.startswith(_PLACE)}


def _other_places(before: Any, config: RunConfig) -> list[tuple[str, Any, Any]]:
    """As ``differences``, of the places of the data: ``./clips`` is ``clips``, seen from here."""
    flat_before = _flat(before if isinstance(before, dict) else {})
    flat_now = _flat(json.loads(json.dumps(jsonable(config))))
    pairs = [(path, flat_before.get(path), flat_now.get(path)) for path in _PLACES]
    return [(path, old, new) for path, old, new in pairs if _absolute(old) != _absolute(new)]


def _absolute(place: Any) -> Any:
    return os.path.abspath(place) if isinstance(place, str) else place


def _versions() -> dict[str, str]:
    """Of what a result depends on."""
    names = ("tvnjax", "jax", "jaxlib", "flax", "optax", "orbax-checkpoint", "grain", "numpy")
    return {name: importlib.metadata.version(name) for name in names}


def _copy_events(out: Path, new: Path, keep: set[str]) -> None:
    """The events up to the last kept stage's end."""
    last = 0
    for name in keep:
        if name.endswith(".json"):
            with contextlib.suppress(InvalidInputError):  # said when the stage goes on
                last = max(last, finished_seq(out / "stages" / name))
    lines = history(read_lines(out / "events.jsonl")[0])
    kept = [line for line in lines if (whole_number(line.get("seq")) or 0) <= last]
    write_atomic(new / "events.jsonl", b"".join(json_bytes(line) + b"\n" for line in kept))


def _begun(out: Path) -> dict[str, Any]:
    refuse_links(out)
    if not (out / _CONFIG).is_file():
        raise InvalidInputError(
            f"a run goes on in the directory it began in; {out} holds none that had begun: check the path, or begin it"
        )
    begun = read_json(out / _CONFIG)
    if not isinstance(begun, dict) or not isinstance(begun.get("config"), dict):
        raise InvalidInputError(f"a run's {_CONFIG} says what was asked for; {out / _CONFIG} does not: begin anew")
    return begun


def _flat(value: Any, path: str = "") -> dict[str, Any]:
    if isinstance(value, dict):
        parts = [_flat(item, f"{path}.{key}" if path else key) for key, item in value.items()]
        return {key: item for part in parts for key, item in part.items()}
    if isinstance(value, list) and any(isinstance(item, dict) for item in value):
        return _flat({str(index): item for index, item in enumerate(value)}, path)
    return {path: value}


def _shown(changed: Sequence[tuple[str, Any, Any]]) -> str:
    said = [f"{path:.100} is {before!r:.200}, now {now!r:.200}" for path, before, now in changed[:6]]
    return "; ".join(said) + (f"; and {len(changed) - 6} more" if len(changed) > 6 else "")
