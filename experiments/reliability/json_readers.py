"""The readers of JSON under test: a sound file each, and what must hold of whatever they accept."""

import json
import math
import random
import warnings
from collections.abc import Iterator
from typing import Any, ClassVar

from experiments.reliability.mutations import damaged_json, mutate_value
from experiments.reliability.reader import Reader, ensure, quiet
from tests.fabricated_table import make_table
from tests.report.fabricated_run import make_run
from tvnjax.core.environment import environment
from tvnjax.latency.table import FORMAT, LatencyTable, _digest
from tvnjax.report.comparing.page import write_comparison
from tvnjax.report.figures import canvas
from tvnjax.report.page import write_report
from tvnjax.report.record import read_events, read_run
from tvnjax.running.replay import ReplayConfig, record_runs, replay
from tvnjax.search.tabular.read import read_table
from tvnjax.spaces.registry import read_genotype
from tvnjax.spaces.tvn.genotype import Block, Genotype
from tvnjax.spaces.tvn.lowering import lower
from tvnjax.training.saved import NETWORK_FILE, SavedNetwork, open_saved
from tvnjax.zoo.tvn import TVN1

_DEFAULTS = {name: getattr(Block(), name) for name in Block.__dataclass_fields__}


class GenotypeFile(Reader):
    """``read_genotype``: what is accepted says nothing the file did not."""

    name = "genotype"

    def case(self, rng: random.Random) -> None:
        path = self.folder / "genotype.json"
        sound = rng.choice((TVN1.to_json(), {"image_size": 8, "num_frames": 2, "blocks": [{}]}))
        content = damaged_json(rng, sound)
        path.write_bytes(content)
        genotype = read_genotype(path)
        said = json.loads(content)
        for name in ("image_size", "num_frames", "frame_stride"):
            ensure(getattr(genotype, name) == said.get(name, 1), name)
        for block, told in zip(genotype.blocks, said["blocks"], strict=True):
            genes = (getattr(block, gene) == told.get(gene, default) for gene, default in _DEFAULTS.items())
            ensure(all(genes), "a gene")
        ensure(set(said) <= {"image_size", "num_frames", "frame_stride", "blocks", "name"}, "an unknown gene")
        network = lower(genotype, 4)
        ensure(network.params > 0 and network.macs > 0, "counts")


class RunFiles(Reader):
    """``read_run``: numbers that are accepted are finite, shares within 0 to 1."""

    name = "run files"

    def prepare(self) -> None:
        self.run = make_run(self.folder / "run", strategies=("evolution", "random"), candidates=6, blocks=2)
        self.sound = {name: json.loads((self.run / name).read_text()) for name in ("results.json", "config.json")}
        self.log = (self.run / "events.jsonl").read_bytes().splitlines(keepends=True)

    def write(self, rng: random.Random) -> None:
        damaged = rng.choice(("results.json", "results.json", "config.json", "events.jsonl"))
        for name, value in self.sound.items():
            sound = json.dumps(value).encode()
            (self.run / name).write_bytes(damaged_json(rng, value) if name == damaged else sound)
        lines = self.log
        if damaged == "events.jsonl":
            lines = [damaged_json(rng, json.loads(x)) + b"\n" if rng.random() < 0.2 else x for x in lines]
            lines = lines[: rng.randrange(len(lines) + 1)]
        (self.run / "events.jsonl").write_bytes(b"".join(lines))

    def case(self, rng: random.Random) -> None:
        self.write(rng)
        record = read_run(self.run)
        for result in record.results:
            for share in (result.top1, result.top5):
                ensure(share is None or 0 <= share <= 1, "a share")
            ensure(result.latency_ms is None or 0 <= result.latency_ms < math.inf, "a latency")
        ensure(read_events(self.run) == record.events, "events")
        ensure(all(math.isfinite(number) for number in _floats(record.details)), "a number")


class Reports(RunFiles):
    """``write_report`` and ``write_comparison`` of whatever ``read_run`` accepts."""

    name = "reports"
    limit_s = 180.0  # dozens of drawings, on a machine that may be busy

    def prepare(self) -> None:
        super().prepare()
        canvas.PNG_DPI = 12  # the same drawings, sooner

    def case(self, rng: random.Random) -> None:
        self.write(rng)
        with quiet():
            if rng.random() < 0.5:
                write_report(self.run)
                page = (self.run / "report.html").read_text(encoding="utf-8")
            else:
                write_comparison([self.run], self.folder / "comparison", force=True)
                page = (self.folder / "comparison" / "compare.html").read_text(encoding="utf-8")
        ensure("<script" not in page, "a name that was not escaped")


class RecordedRuns(RunFiles):
    """``record_runs``: a table made of damaged logs can be read back."""

    name = "recorded runs"

    def case(self, rng: random.Random) -> None:
        self.write(rng)
        out = self.folder / "recorded.jsonl"
        out.unlink(missing_ok=True)
        table = record_runs([self.run], out)
        ensure(len(table.entries) > 0, "no network")


class Tables(Reader):
    """``read_table``, and now and then a replay of what it accepts."""

    name = "evaluation tables"

    def prepare(self) -> None:
        path = self.folder / "sound.jsonl"
        make_table(path, inherited_noise=0.1, count=12)
        self.lines = [json.loads(line) for line in path.read_text().splitlines()]

    def case(self, rng: random.Random) -> None:
        path = self.folder / "table.jsonl"
        lines = [json.dumps(line).encode() for line in self.lines]
        at = rng.randrange(len(lines)) if rng.random() < 0.7 else 0
        lines[at] = damaged_json(rng, self.lines[at])
        content = b"\n".join(lines) + b"\n"
        path.write_bytes(content[: rng.randrange(len(content))] if rng.random() < 0.1 else content)
        table = read_table(path)
        for entry in table.entries.values():
            ensure(entry.latency_ms is None or 0 < entry.latency_ms < math.inf, "a latency")
            ensure(0 <= entry.check_seconds < math.inf, "seconds")
            for run in entry.runs:
                ensure(all(0 <= share <= 1 for point in run.curve for share in point), "a curve")
                ensure(bool(run.failed) or run.curve[-1][0] == 1, "a curve's end")
        if rng.random() < 0.05:
            with quiet():
                replay(table, ReplayConfig(strategies=("evolution", "random"), seeds=(0,), seconds=60))


class LatencyTables(Reader):
    """``LatencyTable``: what is damaged is set aside, what is accepted is what the file says."""

    name = "latency tables"

    def prepare(self) -> None:
        self.runtime: Any = _StandIn()
        self.here = environment() | self.runtime.description
        numbers = {"latency_ms": 0.5, "median_ms": 0.6, "iqr_ms": 0.1, "repeats": 30, "outliers": 0, "drift": 1.0}
        self.entries = [{"kind": "unit", "key": f"conv {index}", **numbers} for index in range(5)]

    def case(self, rng: random.Random) -> str | None:
        path = self.folder / "table.json"
        path.with_suffix(".damaged").unlink(missing_ok=True)
        entries: Any = self.entries
        if rng.random() < 0.6:  # damage that the digest covers
            entries = mutate_value(rng, entries)
        data = {"format": FORMAT, "environment": self.here, "digest": _digest(entries), "entries": entries}
        content = json.dumps(data).encode() if rng.random() < 0.5 else damaged_json(rng, data)
        path.write_bytes(content)
        with warnings.catch_warnings(record=True) as met:
            warnings.simplefilter("always")
            table = LatencyTable(path, self.runtime)
        ensure(bool(met) == path.with_suffix(".damaged").exists() == (not path.exists()), "set aside without a word")
        if met:
            ensure(not table.entries and path.with_suffix(".damaged").read_bytes() == content, "damaged, yet used")
            return "set aside, with a warning"
        for entry in table.entries.values():
            ensure(0 < entry.latency_ms < math.inf and 0 < entry.drift < math.inf and entry.repeats >= 0, "an entry")
        return None


class _StandIn:
    description: ClassVar = {"runtime": "stand-in", "runtime_version": "1", "threads": 1}


class TrainedNetworks(Reader):
    """``open_saved`` of what ``tvnjax train`` leaves, and of what ``tvnjax run`` does."""

    name = "checkpoint metadata"

    def prepare(self) -> None:
        self.run = self.folder / "trained"
        (self.run / "genotypes").mkdir(parents=True)
        sizes = {"num_frames": 2, "frame_stride": 1, "image_size": 8}
        genotype = Genotype(**sizes, blocks=(Block(spatial_kernel=3), Block(filters=16)))
        common = {"classes": ["up", "down"], "head": "mean", "weights": "checkpoints/net", **sizes}
        self.network = {"name": "net", "genotype": genotype.to_json(), **common}
        self.zoo = {"name": "tvn1", "genotype": None, **common}
        self.results = {"data": {"class_names": ["up", "down"]}}
        self.config = {"config": {"head": "mean"}}

    def case(self, rng: random.Random) -> None:
        told = rng.choice(("network", "zoo", "search"))
        (self.run / NETWORK_FILE).unlink(missing_ok=True)
        if told == "search":
            sound = {
                "results.json": self.results,
                "config.json": self.config,
                "genotypes/net.json": self.network["genotype"],
            }
            damaged = rng.choice(tuple(sound))
            for name, value in sound.items():
                content = damaged_json(rng, value) if name == damaged else json.dumps(value).encode()
                (self.run / name).write_bytes(content)
            self._check(open_saved(self.run / "checkpoints" / "net"))
            return
        (self.run / NETWORK_FILE).write_bytes(damaged_json(rng, self.network if told == "network" else self.zoo))
        self._check(open_saved(self.run))

    def _check(self, saved: SavedNetwork) -> None:
        ensure(len(set(saved.classes)) == len(saved.classes) > 0, "classes")
        ensure(saved.weights.resolve().is_relative_to(self.run.resolve()), "weights elsewhere")
        ensure(saved.network.head.num_classes == len(saved.classes), "scores")
        ensure(1 <= saved.entry.num_frames <= 1024 and 1 <= saved.entry.image_size <= 1024, "sizes")


def _floats(value: Any) -> Iterator[float]:
    if isinstance(value, float):
        yield value
    for child in value.values() if isinstance(value, dict) else value if isinstance(value, list) else ():
        yield from _floats(child)
