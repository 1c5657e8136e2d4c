"""A run, finished or going on: its rows, figures, networks and models, read from its directory alone."""

import base64
import dataclasses
import html
import itertools
import os
import time
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tvnjax.api.rows import Rows
from tvnjax.core.errors import InvalidInputError, did_you_mean
from tvnjax.core.printable import printable

if TYPE_CHECKING:
    from tvnjax.api.drawing import Drawing
    from tvnjax.api.model import Model
    from tvnjax.graph import Network
    from tvnjax.report.record import RunRecord, StrategyResult
    from tvnjax.spaces.base import Genotype

_FILES = ("results.json", "config.json", "events.jsonl")
_ROW = (
    *("top1", "top1_sd", "top5", "latency_ms", "latency_iqr_ms", "predicted_ms", "budget_ms", "params", "macs"),
    *("memory_mb", "seconds", "compile_seconds", "retrain_seconds", "evaluations", "infeasible"),
)
_WHOLE = ("params", "macs", "evaluations", "infeasible")
_CANDIDATE = (
    *("strategy", "seed", "id", "feasible", "reason", "top1", "top5", "fitness", "latency_ms", "predicted_ms"),
    *("params", "memory_mb", "seconds", "charged_s", "elapsed"),
)
"""What most candidates have, in this order; what else is logged of one stands behind it."""


@dataclasses.dataclass(frozen=True, kw_only=True, repr=False)
class FoundNetwork:
    """The network that a strategy found with one seed."""

    strategy: str
    seed: int
    id: str
    genotype: "Genotype"
    network: "Network"
    """Lowered: its layers, every shape known."""

    @property
    def params(self) -> int:
        return self.network.params

    @property
    def macs(self) -> int:
        """Multiply-adds of one clip."""
        return self.network.macs

    def draw(self) -> "Drawing":
        return draw_network_of(self.network, f"the network of {self.strategy}, seed {self.seed}")

    def __repr__(self) -> str:
        counts = f"{self.params:,} parameters, {self.macs:,} multiply-adds"
        return printable(f"FoundNetwork({self.strategy}, seed {self.seed}, {self.id}, {counts})", 200)

    def _repr_html_(self) -> str:
        return f"<p>{html.escape(repr(self))}</p>{picture(self.draw())}"


class Run:
    """A run by its directory; ``tvnjax.open_run`` makes one.

    Nothing is locked and no link is followed. What a run that goes on has come to is read again at each call.
    """

    def __init__(self, path: str | Path):
        self._path = Path(path)
        self._known: tuple[Any, RunRecord] | None = None
        self._read()

    @property
    def path(self) -> Path:
        return self._path

    @property
    def finished(self) -> bool:
        return (self._path / "results.json").is_file()

    @property
    def results(self) -> dict[str, Any]:
        """What ``results.json`` holds.

        Raises:
            InvalidInputError: the run is not finished, or the file is damaged.
        """
        from tvnjax.zoo.run_facts import read_object

        self._finished("its results")
        self._read()  # refuses links
        return read_object(self._path / "results.json")

    def rows(self) -> Rows:
        """A row for each strategy and seed: accuracies are shares of the test split, latencies milliseconds. Of a run
        that is not finished, those strategies that have begun, without numbers."""
        return Rows(
            {
                "strategy": result.name,
                "seed": result.seed,
                **{key: _number(key, getattr(result, key)) for key in _ROW},
                "over_budget": result.over_budget if result.top1 is not None else None,
                "id": result.genotype_id or None,
                "error": result.error or None,
            }
            for result in self._read().results
        )

    def candidates(self) -> Rows:
        """A row for each network that was proposed: refused, or trained and scored on the validation split. What is
        nested in the log has a column for each of its parts: ``costs.train``."""
        found = [_flat(event) for event in self._read().select("candidate")]
        for row in found:
            row.pop("event", None)
        others = dict.fromkeys(key for row in found for key in row if key not in _CANDIDATE)
        return Rows({key: row.get(key) for key in (*_CANDIDATE, *others)} for row in found)

    def networks(self) -> list[FoundNetwork]:
        """The networks found, in the order of the rows; a strategy that found none is left out.

        Raises:
            InvalidInputError: one is of a space or an operator made in Python, which has not been made here.
        """
        record = self._read()
        for result in record.results:
            if result.unmade:
                raise InvalidInputError(f"{self._path}, {result.name}, seed {result.seed}: {result.unmade}")
        return self._networks(record)

    def _networks(self, record: "RunRecord") -> list[FoundNetwork]:
        return [
            FoundNetwork(
                strategy=result.name,
                seed=result.seed,
                id=result.genotype_id,
                genotype=result.genotype,
                network=result.genotype.lower(max(len(record.class_names), 1), head=record.head),
            )
            for result in record.results
            if result.genotype is not None
        ]

    def figure(self, name: str = "accuracy_latency") -> "Drawing":
        """A figure of the report: accuracy_latency, best_so_far, search_trace, mean_entropy, parameter_free, costs,
        shapes, marginals, entropy, predicted_measured or retraining.

        Raises:
            InvalidInputError: there is none of that name, or the run has nothing for it (yet).
        """
        from tvnjax.api.drawing import Drawing
        from tvnjax.report.figures.by_name import draw_figure

        return Drawing(draw_figure(self._read(), name), f"{name}, {self._path.name}")

    def report(self) -> Path:
        """The path of the report's page, which is written if it is not there.

        Raises:
            InvalidInputError: the run is not finished, or the page cannot be written.
        """
        from tvnjax.report.page import write_report

        self._finished("a report")
        page = self._path / "report.html"
        if not page.is_file():
            write_report(self._path)
        return page

    def model(self, strategy: str | None = None, seed: int | None = None) -> "Model":
        """The trained network that a strategy found.

        Args:
            strategy: default: that of the best network within the budget.
            seed: default: that of the best of the strategy's networks within the budget.

        Raises:
            InvalidInputError: there is no such strategy or seed, it found no network, or the run is not finished.
        """
        from tvnjax.api.model import Model
        from tvnjax.report.record import best_of
        from tvnjax.training.saved import open_saved

        self._finished("its trained networks")
        record = self._read()
        if strategy is not None and strategy not in record.strategies:
            near = did_you_mean(strategy, record.strategies)
            raise InvalidInputError(f"the strategies of {self._path} are {_named(record)}; got {strategy!r:.100}{near}")
        results = [r for r in record.results if strategy in (None, r.name) and seed in (None, r.seed)]
        best = best_of(results)
        if best is None:
            seeds = ", ".join(str(result.seed) for result in record.results if strategy in (None, result.name))
            raise InvalidInputError(f"{self._path} has the seeds {seeds}; got {seed!r:.100}")
        if best.unmade:
            raise InvalidInputError(f"{self._path}, {best.name}, seed {best.seed}: {best.unmade}")
        if best.genotype is None or best.top1 is None:
            raise InvalidInputError(
                f"{best.name}, seed {best.seed}, has no trained network in {self._path}: "
                f"{best.error or 'the run does not say why'}"
            )
        weights = self._path / "checkpoints" / f"{best.name}-{best.seed}"
        if not weights.is_dir():
            raise InvalidInputError(
                f"a replayed run trains nothing, and a run keeps its weights; there is no {weights}"
            )
        return Model(open_saved(weights))

    def __repr__(self) -> str:
        try:
            record = self._read()
        except InvalidInputError as error:
            return printable(f"Run({str(self._path)!r:.80}: {error})", 200)
        state = "finished" if self.finished else "not finished"
        return printable(f"Run({str(self._path)!r:.110}, {state}: {_named(record) or 'nothing yet'})", 200)

    def _repr_html_(self) -> str:
        try:
            record = self._read()
            return self._finished_html(record) if self.finished else self._going_html(record)
        except InvalidInputError as error:
            return f"<p>{html.escape(printable(error))}</p>"

    def _finished_html(self, record: "RunRecord") -> str:
        from tvnjax.report import tables
        from tvnjax.report.headline import headline
        from tvnjax.report.page import render_blocks
        from tvnjax.report.record import best_of

        best = best_of(result for result in record.results if result.genotype is not None)
        chosen = None if best is None else (best.name, best.seed)
        drawn = next((n for n in self._networks(record) if (n.strategy, n.seed) == chosen), None)
        parts = render_blocks([*headline(record), tables.comparison(record)])
        caption = "" if drawn is None else f"<p>{html.escape(repr(drawn))}</p>{picture(drawn.draw())}"
        return f"{_title(self._path)}{parts}{caption}"

    def _going_html(self, record: "RunRecord") -> str:
        count = len(record.select("candidate"))
        last = record.events[-1].get("event") if record.events else "nothing"
        words = f"Not finished: {len(record.events):,} events, {count:,} candidates; last logged: {last}."
        return f"{_title(self._path)}<p>{html.escape(printable(words))}</p>{self.rows()._repr_html_()}"

    def _finished(self, what: str) -> None:
        if not self.finished:
            raise InvalidInputError(
                f"a run has {what} when it is finished; {self._path} is not: go on with "
                f"tvnjax.run(resume={str(self._path)!r}), or wait for the process that does"
            )

    def _read(self) -> "RunRecord":
        from tvnjax.report.record import read_so_far

        state = tuple(_state(self._path / name) for name in _FILES)
        # What was not there may have been made since.
        unmade = self._known is not None and any(result.unmade for result in self._known[1].results)
        if self._known is None or self._known[0] != state or unmade:
            self._known = state, read_so_far(self._path)
        return self._known[1]


def open_run(path: str | Path) -> Run:
    """A run by its directory: one of the command line or of Python, finished, stopped or going on in another process.

    Raises:
        InvalidInputError: there is none, its files are damaged, or the directory holds links.
    """
    path = Path(path)
    if not path.is_dir():
        raise InvalidInputError(f"a run is a directory; there is none at {path}: check the path")
    return Run(path)


def new_place(name: str) -> Path:
    """Where a run is left whose directory is not named; two that begin in one second get two."""
    first = Path("runs") / f"{name}-{time.strftime('%Y%m%d-%H%M%S')}"
    others = (first.with_name(f"{first.name}-{number}") for number in itertools.count(2))
    return next(place for place in itertools.chain([first], others) if not os.path.lexists(place))


def draw_network_of(network: "Network", name: str) -> "Drawing":
    from tvnjax.api.drawing import Drawing
    from tvnjax.report.drawing import draw_network
    from tvnjax.report.figures.canvas import report_style

    with report_style():
        return Drawing(draw_network(network), name)


def picture(drawing: "Drawing") -> str:
    """A drawing inside HTML."""
    data = base64.b64encode(drawing._repr_png_()).decode()
    return f'<img alt="{html.escape(drawing.name)}" style="max-width: 100%" src="data:image/png;base64,{data}">'


def _title(path: Path) -> str:
    return f"<p><b>{html.escape(printable(path, 200))}</b></p>"


def _state(path: Path) -> tuple[int, int] | None:
    try:
        found = path.lstat()
    except OSError:
        return None
    return found.st_mtime_ns, found.st_size


def _named(record: "RunRecord") -> str:
    def told(result: "StrategyResult") -> str:
        return result.name if result.top1 is None else f"{result.name} {result.top1:.1%}"

    return ", ".join(map(told, record.results))


def _number(key: str, value: float | None) -> float | int | None:
    return int(value) if value is not None and key in _WHOLE else value


def _flat(value: Mapping[str, Any], before: str = "") -> dict[str, Any]:
    """Nested mappings as one, of numbers and text: lists and the genotype are left out."""
    found: dict[str, Any] = {}
    for key, item in value.items():
        if isinstance(item, Mapping):
            if key != "genotype":
                found |= _flat(item, f"{before}{key}.")
        elif not isinstance(item, list):
            found[f"{before}{key}"] = item
    return found
