"""A run that is begun, or gone on with, from Python: the same configuration and files as the command line's."""

import dataclasses
import shlex
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tvnjax.api.run import Run, new_place, open_run
from tvnjax.core.errors import InvalidInputError, did_you_mean
from tvnjax.core.printable import printable, say

if TYPE_CHECKING:
    from tvnjax.running.config import RunConfig
    from tvnjax.spaces.chain.space import ChainSpace

_COMMAND = 2000
"""Characters of the call that a report shows."""


def run(
    config: "str | RunConfig | ChainSpace | None" = None,
    *,
    data: Any = None,
    out: str | Path | None = None,
    resume: bool | str | Path = False,
    fork: str | Path | None = None,
    quiet: bool = False,
    **options: Any,
) -> Run:
    """Searches, retrains and compares, as ``tvnjax run``; returns the finished run.

    Args:
        config: a preset's name (quick, clips, planted, tvn-gpu, tvn-tpu), a ``RunConfig``, or a ``ChainSpace`` (with
            the other options of ``clips``); left out where a run is gone on with.
        data: ``VideoFolder(...)``, ``Manifest(...)`` or ``Arrays(...)``; or a mapping of options of the preset's data.
            Default: the preset's.
        out: the run's directory. Default: runs/PRESET-DATE-TIME.
        resume: the directory of a run to go on with, with the options it began with. True: go on with the one in
            ``out`` if one has begun there, and begin it otherwise.
        fork: with ``resume``, a new directory: a copy of the run goes on there, with other options.
        quiet: show no progress.
        options: those of ``tvnjax run``, nested as there: ``search={"steps": 100}, budget={"ms": 2.0}, seed=1``. Among
            ``strategies`` there may be some of one's own (``tvnjax.Strategy``).

    Raises:
        InvalidInputError: an option is unknown (its path and the nearest name are said), or the input breaks a rule.
        KeyboardInterrupt: it was stopped; what is finished is kept, and ``run(resume=DIR)`` goes on.
    """
    from tvnjax.running.continuing import begun_config, check_continues, refuse_unfinished
    from tvnjax.running.continuing import fork as copy_run

    again = Path(out) if resume is True and out is not None and (Path(out) / "config.json").is_file() else None
    if resume is True and out is None:
        raise InvalidInputError("resume=True goes on in a directory: name it with out, or give resume=DIR")
    if not isinstance(resume, bool):
        if out is not None:
            raise InvalidInputError(f"resume names the run's directory; got out={str(out)!r:.100} too: leave one out")
        again = Path(resume)
    if fork is not None and again is None:
        raise InvalidInputError("fork copies the run that resume names: give resume=DIR, fork=NEW_DIR")
    begun = None if again is None else begun_config(again)
    made = _configured(begun if config is None else config, data, options)
    if made.distributed.auto or made.distributed.processes > 1:
        raise InvalidInputError(
            "a run of several processes is begun by 'tvnjax run' in each, before JAX looks for devices; got "
            f"distributed={made.distributed!r}: leave it out, or use the command line"
        )
    command = _call(config, data, options | ({"strategies": made.strategies} if "strategies" in options else {}))
    if again is None:
        made = made if out is None else dataclasses.replace(made, out=Path(out))
        place = made.out or new_place(config if isinstance(config, str) else "run")
        refuse_unfinished(made, place)
        return _run(made, place, command, resume=False, quiet=quiet)
    _check_arrays(begun, made, again)
    _check_strategies(made, again)
    if fork is not None:
        copy_run(made, again, Path(fork), command, None)
        again = Path(fork)
    else:
        check_continues(made, again)
    return _run(made, again, command, resume=True, quiet=quiet)


def _run(config: "RunConfig", out: Path, command: str, *, resume: bool, quiet: bool) -> Run:
    from tvnjax.api.progress import RunMonitor
    from tvnjax.core.run_dir import RunDir
    from tvnjax.core.signals import Stopped
    from tvnjax.running import pipeline

    shown: list[RunMonitor] = []

    def listen(run_dir: RunDir) -> RunMonitor:
        shown.append(RunMonitor(run_dir, quiet=quiet))
        return shown[0]

    try:
        pipeline.run(config, out, command, listen, resume=resume)
    except Stopped:
        _close(shown, "stopped")
        say(f"stopped; go on with tvnjax.run(resume={str(out)!r}) or: tvnjax run --resume {shlex.quote(str(out))}")
        raise
    except BaseException:
        _close(shown, "failed")
        raise
    _close(shown, f"done: {out}")
    return open_run(out)


def _close(shown: list[Any], last: str) -> None:
    for monitor in shown:
        monitor.close(last)


def _configured(config: Any, data: Any, options: Mapping[str, Any]) -> "RunConfig":
    """The configuration that is asked for: a preset or a whole one, with other data and options."""
    from tvnjax.data.arrays import ArrayData
    from tvnjax.data.planted import PlantedData
    from tvnjax.data.procedural import ProceduralData
    from tvnjax.data.video_folder import VideoData
    from tvnjax.running.config import PRESETS, RunConfig
    from tvnjax.running.config_values import changed
    from tvnjax.spaces.chain.space import ChainSpace
    from tvnjax.spaces.own import own_space

    if isinstance(config, str):
        if config not in PRESETS:
            names = ", ".join(PRESETS)
            raise InvalidInputError(f"a preset is one of {names}; got {config!r:.100}{did_you_mean(config, PRESETS)}")
        config = PRESETS[config][1]
    if isinstance(config, ChainSpace):
        config = dataclasses.replace(PRESETS["clips"][1], own=own_space(config))
    if not isinstance(config, RunConfig):
        raise InvalidInputError(
            f"a run is asked for by a preset ({', '.join(PRESETS)}), a ChainSpace or a RunConfig, or gone on with by "
            f"resume=DIR; got {config!r:.100}"
        )
    if config.own is not None and (ignored := [name for name in ("shapes", "operators") if name in options]):
        raise InvalidInputError(
            f"a space made in Python says itself what is searched; got {' and '.join(ignored)} for {config.own!r} too: "
            "leave that out, or change the space"
        )
    if data is None:
        return changed(config, options)
    if not isinstance(data, ProceduralData | PlantedData | VideoData | ArrayData | Mapping):
        raise InvalidInputError(
            "data is tvnjax.VideoFolder(DIR), tvnjax.Manifest(FILE) or tvnjax.Arrays(clips, labels), or a mapping of "
            f"options of the preset's data; got {type(data).__name__} {data!r:.60}"
        )
    return changed(config, {**options, "data": data})


def _check_arrays(begun: "RunConfig | None", config: "RunConfig", out: Path) -> None:
    """Refuses to go on with a run of arrays without them, or with others.

    Raises:
        InvalidInputError: they are missing or differ.
    """
    from tvnjax.data.arrays import ArrayData

    before, now = getattr(begun, "data", None), config.data
    if not isinstance(before, ArrayData) or (out / "results.json").is_file():
        return
    if not isinstance(now, ArrayData) or not now.has_arrays:
        raise InvalidInputError(
            f"a run keeps no arrays; that in {out} began with {before!r}: give them again, "
            f"tvnjax.run(resume={str(out)!r}, data=tvnjax.Arrays(...))"
        )
    if before.digest != now.digest:
        raise InvalidInputError(
            f"a run goes on with the arrays it began with; that in {out} began with {before!r}, now {now!r}: give the "
            "same clips and labels, in the same order and splits"
        )


def _check_strategies(config: "RunConfig", out: Path) -> None:
    """Refuses to go on with a run without the strategies that were given to it, before anything is copied.

    Raises:
        InvalidInputError: one is missing, or cannot be loaded.
    """
    from tvnjax.search.registry import registered

    if not (out / "results.json").is_file():
        for choice in config.strategies:
            registered(choice)


def _named(config: Any) -> str:
    return repr(config) if type(config).__name__ == "ChainSpace" else "RunConfig(...)"


def _call(config: Any, data: Any, options: Mapping[str, Any]) -> str:
    """The call as a report shows it."""
    given = {} if data is None else {"data": data}
    words = [repr(config)] if isinstance(config, str) else [_named(config)] if config is not None else []
    words += [f"{name}={value!r}" for name, value in (given | dict(options)).items()]
    return printable(f"tvnjax.run({', '.join(words)})", _COMMAND)
