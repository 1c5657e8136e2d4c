"""Strategies on a recorded table: what they propose, what they are charged, and tables made from runs."""

import json
import time

import numpy as np
import pytest

from tests.fabricated_table import SPACE, make_table, quality
from tvnjax.cli import main
from tvnjax.core.errors import InvalidInputError
from tvnjax.running.replay import ReplayConfig, record_runs, replay
from tvnjax.search.tabular.benchmark import TableSpace
from tvnjax.search.tabular.read import read_table
from tvnjax.spaces.tvn.canonical import genotype_id
from tvnjax.spaces.tvn.enumerating import enumerate_space

ALL = (
    *("evolution", "regularized_evolution", "random", "successive_halving"),
    *("random_weight_sharing", "evolution_weight_sharing"),
)


@pytest.fixture(scope="module")
def table(tmp_path_factory):
    return make_table(tmp_path_factory.mktemp("table") / "table.jsonl", inherited_noise=0.05)


def test_a_small_space_is_enumerated_once(table):
    genotypes = enumerate_space(SPACE)
    assert len({genotype_id(genotype) for genotype in genotypes}) == len(genotypes) == 2 * 2 * 8 * 8
    assert all(SPACE.contains(genotype) for genotype in genotypes)
    rng = np.random.default_rng(0)
    known = {genotype_id(genotype) for genotype in genotypes}
    assert {genotype_id(SPACE.sample(rng)) for _ in range(200)} <= known == set(table.entries)


def test_a_table_reads_back_what_was_written(table):
    assert table.space == SPACE and table.seeds == (0, 1)
    for entry in list(table.entries.values())[:20]:
        assert abs(entry.top1() - quality(entry.genotype)) < 0.1
        assert entry.runs[0].curve[-1][0] == 1 and entry.check_seconds == 2.0


def test_every_strategy_runs_in_seconds_and_is_charged_recorded_ones(table):
    start = time.process_time()
    found = replay(table, ReplayConfig(strategies=ALL, seeds=(0, 1), seconds=400))
    assert time.process_time() - start < 30
    assert [(result.name, result.seed) for result in found] == [(name, seed) for name in ALL for seed in (0, 1)]
    for result in found:
        assert result.best is not None and result.best.verdict.latency_ms <= np.median(table.latencies())
        refused = sum(not c.verdict.feasible for c in result.candidates if c.scoring == "trained")
        if result.name in ("evolution", "random"):
            # Each trained one: 2 s of checking and 9 s of training; each refused one: 2 s.
            assert result.seconds == pytest.approx(11 * result.evaluations + 2 * refused)
            assert result.compile_seconds == pytest.approx(4.5 * result.evaluations + 1.5 * refused)
            assert 400 <= result.seconds < 411
        assert sum(result.seconds_by_kind.values()) == pytest.approx(result.seconds)


def test_halving_pays_for_a_network_once(table):
    (result,) = replay(table, ReplayConfig(strategies=("successive_halving",), seeds=(0,), seconds=10**6))
    whole = {c.id for c in result.candidates if c.whole and c.fitness > 0}
    part = {c.id: max(o.part for o in result.candidates if o.id == c.id) for c in result.candidates if c.evaluation}
    checked = {c.id for c in result.candidates}
    expected = 2 * len(checked) + sum(3 + 6 * share for share in part.values())
    assert whole and result.seconds == pytest.approx(expected)


def test_a_seed_repeats_a_replay(table):
    first, second = (replay(table, ReplayConfig(seeds=(3,), seconds=300)) for _ in range(2))
    assert [[c.id for c in r.candidates] for r in first] == [[c.id for c in r.candidates] for r in second]


def test_mutants_are_one_gene_away_and_in_the_table(tmp_path, table):
    """In a table that is the whole space; in a part of it, the nearest there is."""
    part = make_table(tmp_path / "part.jsonl", count=100)
    rng = np.random.default_rng(0)
    for known in (table, part):
        space = TableSpace(known)
        for _ in range(30):
            parent = space.sample(rng)
            child = space.mutate(parent, rng)
            assert genotype_id(child) in known.entries and genotype_id(child) != genotype_id(parent)


def test_the_front_is_beaten_by_no_network(table):
    front = table.front()
    for entry in table.entries.values():
        assert (
            not any(entry.latency_ms < member.latency_ms and entry.top1() > member.top1() for member in front)
            or entry in front
        )
    assert all(a.latency_ms < b.latency_ms and a.top1() < b.top1() for a, b in zip(front, front[1:]))  # noqa: RUF007


def test_a_replay_leaves_a_run_and_its_run_makes_a_table(tmp_path, table, capsys):
    config = ReplayConfig(strategies=("random", "successive_halving"), seeds=(0, 1), seconds=200)
    found = replay(table, config, out=tmp_path / "run")
    again = record_runs([tmp_path / "run"], tmp_path / "again.jsonl")
    trained = {c.id for result in found for c in result.candidates if c.usable}
    assert set(again.entries) == trained
    for entry in again.entries.values():
        seeds = {run.seed: run for run in entry.runs}
        for seed, run in seeds.items():
            original = table.entries[entry.id].runs[seed]
            assert run.curve[-1] == pytest.approx(original.curve[-1], rel=1e-4)
            assert run.seconds == pytest.approx(original.seconds)
        assert entry.latency_ms == pytest.approx(table.entries[entry.id].latency_ms)
    assert main(["report", str(tmp_path / "run")]) == 0
    assert "successive_halving" in (tmp_path / "run" / "report.md").read_text()
    rows = json.loads((tmp_path / "run" / "results.json").read_text())["strategies"]
    assert rows[0]["top1"] == pytest.approx(table.entries[rows[0]["genotype_id"]].top1("test"))


def test_the_command_line_records_and_replays(tmp_path, table, capsys):
    path = tmp_path / "t.jsonl"
    make_table(path, count=60)
    out = tmp_path / "run"
    arguments = ["replay", str(path), "--strategies", "random", "evolution", "--seeds", "0", "--out", str(out)]
    assert main(arguments) == 0
    assert "evolution" in capsys.readouterr().out
    assert main(["record", str(out), "--out", str(tmp_path / "new.jsonl")]) == 0
    assert "networks" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("argv", "words"),
    [
        (["replay", "no/such.jsonl"], ["no/such.jsonl"]),
        (["replay", "TABLE", "--budget-ms", "0.0001"], ["smallest", "--budget-ms"]),
        (["replay", "TABLE", "--strategies", "differentiable"], ["differentiable", "supernet"]),
        (["replay", "TABLE", "--strategies", "random_weight_sharing"], ["inherited", "leave out"]),
        (["replay", "TABLE", "--halving.rungs", "5", "--strategies", "successive_halving"], ["parts recorded"]),
        (["replay", "BROKEN"], ["line 3"]),
        (["record", "no/such", "--out", "new.jsonl"], ["no/such"]),
    ],
)
def test_bad_input_is_one_line_that_names_it(argv, words, tmp_path, capsys):
    path, broken = tmp_path / "table.jsonl", tmp_path / "broken.jsonl"
    make_table(path, count=20)
    lines = path.read_text().splitlines()
    broken.write_text("\n".join([lines[0], lines[1], '{"id": 3}', lines[3], ""]))
    status = main([{"TABLE": str(path), "BROKEN": str(broken)}.get(part, part) for part in argv])
    line = capsys.readouterr().err
    assert status == 2 and line.startswith("error: ") and line.count("\n") == 1
    assert all(word in line for word in words), line


def test_a_line_that_was_not_finished_is_passed_over(tmp_path):
    path = tmp_path / "table.jsonl"
    make_table(path, count=10)
    path.write_text(path.read_text()[:-40])
    assert len(read_table(path).entries) == 9


def test_a_network_outside_the_table_is_refused(tmp_path):
    table = make_table(tmp_path / "table.jsonl", count=10)
    outside = next(g for g in enumerate_space(SPACE) if genotype_id(g) not in table.entries)
    with pytest.raises(InvalidInputError, match="not in"):
        table.task().check(outside)
