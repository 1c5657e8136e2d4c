"""What the report shows of a search over shape genes, in runs that have it and in runs of before."""

import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tests.report.fabricated_run import BUDGETS, edit_results, make_old, make_run, read_events
from tvnjax.report.document import Callout
from tvnjax.report.figures.shape_strips import shape_columns, width_marks
from tvnjax.report.headline import headline
from tvnjax.report.page import write_report
from tvnjax.report.record import read_run
from tvnjax.report.search_tables import budgets
from tvnjax.spaces.tvn.genotype import Block, Genotype


def gradient_run(directory: Path, **options: Any) -> Path:
    return make_run(directory, strategies=("differentiable",), blocks=2, **options)


def report(directory: Path) -> str:
    """Writes the report; its Markdown as a reader sees it."""
    write_report(directory)
    return read(directory)


def read(directory: Path) -> str:
    text = (directory / "report.md").read_text(encoding="utf-8").replace("\N{NO-BREAK SPACE}", " ")
    return re.sub(r"\\([\\`*_\[\]|#~])", r"\1", text)


def top_lines(directory: Path) -> str:
    """The headline with its callouts."""
    parts = headline(read_run(directory))
    return "\n".join(line for part in parts if isinstance(part, Callout) for line in part.lines)


def change_budgets(directory: Path, **changes: float | None) -> None:
    results = edit_results(directory)
    results["budget"] |= changes
    (directory / "results.json").write_text(json.dumps(results), encoding="utf-8")


def change_events(directory: Path, change: Callable[[int, dict[str, Any]], dict[str, Any]]) -> None:
    """Updates every event with the fields that ``change`` gives for its index and what it was."""
    path = directory / "events.jsonl"
    entries = [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]
    changed = [entry | change(index, entry) for index, entry in enumerate(entries)]
    path.write_text("".join(f"{json.dumps(entry)}\n" for entry in changed), encoding="utf-8")


def marks(shapes: dict[str, list[str]], chosen: Genotype, widths: list[str] | None = None) -> dict[str, set[str]]:
    """The values marked, by column and gene."""
    strips = {gene: {name: np.ones(2) for name in names} for gene, names in shapes.items()}
    block = {"filters": {name: np.ones(2) for name in widths}} if widths else {}
    columns = shape_columns(strips, [block] * 3, chosen)
    return {f"{column.title}: {gene}": set(names) for column in columns for gene, names in column.picked.items()}


def test_the_numbers_at_the_last_step_are_those_of_the_events(finished: Path) -> None:
    markdown = read(finished)
    last = read_events(finished, "search_step")[-1]
    assert f"operator genes {last['entropy']:.2f}, shape genes {last['shape_entropy']:.2f}." in markdown
    for index, masses in enumerate(last["parameter_free"]):
        assert f"block {index + 1} spatial {100 * masses['spatial']:.1f} %" in markdown
        assert f"temporal {100 * masses['temporal']:.1f} %" in markdown
    assert len(last["parameter_free"]) == 3


def test_the_table_of_budgets_has_cost_and_part(finished: Path) -> None:
    markdown = read(finished)
    table = markdown[markdown.index("### Budgets") : markdown.index("## The networks")]
    lines = {line.split(" <br>")[0].strip("| "): line for line in table.splitlines() if line.startswith("| ")}
    results = json.loads((finished / "results.json").read_text(encoding="utf-8"))
    last = read_events(finished, "search_step")[-1]["costs"]
    for label, name, key, decimals in (
        ("latency", "ms", "latency_ms", 2),
        ("parameters", "params", "params", 0),
        ("peak memory", "memory_mb", "memory_mb", 2),
    ):
        cells = [cell.strip() for cell in lines[label].strip("| ").split(" | ")]
        assert float(cells[1].replace(",", "")) == BUDGETS[name]
        for cell, row in zip(cells[2:5], results["strategies"], strict=True):
            cost, part = cell.removesuffix(" %</small>").split(" <br><small>")
            assert float(cost.replace(",", "")) == pytest.approx(row[key], abs=0.5001 * 10**-decimals)
            assert float(part) == pytest.approx(100 * row[key] / BUDGETS[name], abs=0.051)
        assert float(cells[5]) == pytest.approx(100 * last[name]["part"], abs=0.051)
        assert float(cells[6]) == pytest.approx(last[name]["multiplier"], abs=0.0051)


def test_a_budget_that_does_not_hold_is_none(tmp_path: Path) -> None:
    directory = gradient_run(tmp_path / "run", candidates=10)
    change_budgets(directory, params=None, memory_mb=None)
    table = budgets(read_run(directory))
    assert table is not None
    assert [row[1].text for row in table.rows] == ["6.00", "none", "none"]
    assert all(row[2].text and not row[2].note for row in table.rows[1:])


@pytest.mark.parametrize(
    ("budget", "words"),
    [
        ({"params": 1000}, r"has [\d,]+ parameters, 1,000 allowed\."),
        ({"memory_mb": 0.5}, r"has [\d.]+ MiB at its peak, 0\.5 allowed\."),
    ],
)
def test_a_counted_budget_that_is_broken_is_named_at_the_top(
    tmp_path: Path, budget: dict[str, float], words: str
) -> None:
    directory = gradient_run(tmp_path / "run", candidates=10)
    change_budgets(directory, **budget)
    top = top_lines(directory)
    assert re.search(rf"Over budget: the network of differentiable, seed 0 \(\w+\) {words}", top)
    assert "No network is over its budget" not in top
    table = budgets(read_run(directory))
    assert table is not None and [row[2].alert for row in table.rows] == [
        False,
        "params" in budget,
        "memory_mb" in budget,
    ]


def test_every_plan_is_listed_and_counted(finished: Path) -> None:
    plans = read_events(finished, "plan")
    markdown = read(finished)
    assert f"{len(plans)} plans entered the working set, to be compiled." in markdown
    for number, event in enumerate(plans):
        cells = (number + 1, event["plan"], "differentiable, seed 0", event["members"], f"{event['charged_s']:.1f}")
        assert f"| {' | '.join(map(str, cells))} |" in markdown


def test_layers_with_parameters_are_those_derived(finished: Path) -> None:
    identity = json.loads((finished / "results.json").read_text(encoding="utf-8"))["strategies"][0]["genotype_id"]
    derived = {event["id"]: event["parametric"] for event in read_events(finished, "derived")}
    markdown = read(finished)
    sentence = next(line for line in markdown.splitlines() if line.startswith("Spatial and temporal layers"))
    assert f"differentiable, {derived[identity]} in the network found ({identity})" in sentence
    rest = sentence[sentence.index("found (") + len("found (") + len(identity) :]
    assert [int(word) for word in re.findall(r"\d+", rest)] == [n for key, n in derived.items() if key != identity]


def test_a_collapsed_network_is_said_to_be_collapsed(tmp_path: Path, finished: Path) -> None:
    directory = gradient_run(tmp_path / "run", collapsed=True)
    assert not any(event["parametric"] for event in read_events(directory, "derived"))
    identity = json.loads((directory / "results.json").read_text(encoding="utf-8"))["strategies"][0]["genotype_id"]
    words = "has no spatial or temporal layer with parameters, only pools and identities"
    top = top_lines(directory)
    assert f"Collapsed: the network of differentiable, seed 0 ({identity}) {words}" in top
    others = len(read_events(directory, "derived")) - 1
    assert f"Collapsed: of the {others} other finalists of differentiable, {others} with no spatial" in top
    assert "Collapsed" not in read(finished)


def test_a_collapsed_network_of_an_old_run_is_told_by_its_genes(tmp_path: Path) -> None:
    directory = gradient_run(tmp_path / "run", collapsed=True)
    make_old(directory)
    assert top_lines(directory).count("Collapsed: the network of differentiable, seed 0") == 1


def test_an_old_run_is_reported_without_the_new_parts(tmp_path: Path) -> None:
    directory = gradient_run(tmp_path / "run")
    make_old(directory)
    markdown = report(directory)
    left_out = [line for line in markdown.splitlines() if line.startswith("Left out")]
    assert [sum(word in line for line in left_out) for word in ("'entropy'", "'parameter_free'", "'plan'")] == [1, 1, 1]
    assert sum("shape genes" in line for line in left_out) == 1
    assert sum("does not list the budgets" in line for line in left_out) == 1
    assert len(left_out) == 5
    assert "peak memory" not in markdown
    assert "The plan: sizes that every network shares" in markdown


def test_malformed_fields_are_passed_over(tmp_path: Path) -> None:
    odd = ["x", [], [3], {"a": 3}, {"ms": 3, "image_size": 3, "": {"": "much"}}, [{"spatial": "much"}], None]
    new = {
        "search_step": ("entropy", "shape_entropy", "parameter_free", "costs"),
        "marginals": ("shapes",),
        "plan": ("plan", "charged_s", "seed"),
        "derived": ("id", "parametric"),
    }
    directory = gradient_run(tmp_path / "run")
    change_events(directory, lambda index, entry: dict.fromkeys(new.get(entry["event"], ()), odd[index % len(odd)]))
    results = edit_results(directory)
    results |= {"budget": {"ms": "x", "params": [], "memory_mb": -1}, "space": {"shapes": {"blocks": [3], "a": {}}}}
    (directory / "results.json").write_text(json.dumps(results), encoding="utf-8")
    markdown = report(directory)
    for key in ("entropy", "parameter_free"):
        assert f"Left out: this run has no 'search_step' events with '{key}'." in markdown


def test_text_from_the_new_events_is_escaped(tmp_path: Path) -> None:
    directory = gradient_run(tmp_path / "run")
    bad = "<script>alert(1)</script>|`x` $x_1$"
    changes = {
        "plan": {"plan": bad},
        "derived": {"id": bad, "parametric": 0, "strategy": bad},
        "marginals": {"shapes": {bad: {bad: 0.5, "2": 0.5}, f"{bad} of block 0": {"1": 1.0}}},
    }
    change_events(directory, lambda _, entry: changes.get(entry["event"], {}))
    results = edit_results(directory)
    results["space"] = {"shapes": {bad: [bad], "blocks": [{bad: [bad]}]}}
    (directory / "results.json").write_text(json.dumps(results), encoding="utf-8")
    write_report(directory)
    page = (directory / "report.html").read_text(encoding="utf-8")
    assert "<script" not in page and page.count("&lt;script&gt;") >= 6
    assert "<script" not in (directory / "report.md").read_text(encoding="utf-8")


def test_the_shape_strips_mark_the_network_found(finished: Path) -> None:
    genotype = json.loads((finished / "results.json").read_text(encoding="utf-8"))["strategies"][0]["genotype"]
    page = (finished / "report.html").read_text(encoding="utf-8")
    drawing = page[page.index('id="figure-shapes"') : page.index('id="figure-marginals"')]
    words = re.findall(r"<text[^>]*>([^<]*)</text>", drawing)
    for gene in ("image size", "number of frames", "number of blocks"):
        assert gene in words
    for value in (genotype["image_size"], genotype["num_frames"], len(genotype["blocks"])):
        assert f"▸ {value}" in words


def test_marks_follow_the_network_and_leave_idle_genes() -> None:
    shapes = {
        "num_frames": ["1", "4"],
        "frame_stride": ["1", "2"],
        "num_blocks": ["1", "2"],
        "spatial_stride of block 0": ["1", "2", "4"],
        "temporal_stride of block 0": ["1", "2"],
        "repeats of block 1": ["1", "2"],
        "repeats of block 2": ["1", "2"],
    }
    blocks = (Block(spatial_kernel=3, spatial_stride=2, filters=16), Block(spatial_kernel=3, repeats=2))
    found = marks(shapes, Genotype(image_size=2, num_frames=1, frame_stride=1, blocks=blocks))
    assert found == {
        "input: num_frames": {"1"},
        "input: frame_stride": set(),
        "input: num_blocks": {"2"},
        # Two pixels: a stride of four leaves one of them, as a stride of two does.
        "block 1: spatial_stride": {"2", "4"},
        "block 1: temporal_stride": set(),
        "block 2: repeats": {"2"},
    }


def test_an_identity_does_not_stride() -> None:
    shapes = {"temporal_stride of block 1": ["1", "2"]}
    first, second = Block(temporal_kernel=1, temporal_stride=2), Block(temporal_kernel=3, temporal_stride=2)
    found = marks(shapes, Genotype(image_size=8, num_frames=2, blocks=(first, second)))
    assert found == {"block 2: temporal_stride": {"2"}}


def test_a_width_is_marked_in_every_bucket_that_reaches_it() -> None:
    assert width_marks(16, ["16", "32"], ["16", "24", "32"]) == ({"16", "32"}, {"16", "32"})
    assert width_marks(24, ["16", "32"], ["16", "24", "32"]) == ({"32"}, {"24"})
    assert width_marks(12, ["16", "32"], ["16", "24", "32"]) == ({"16"}, {"24"})
    assert width_marks(12, ["16", "32"], []) == ({"16"}, set())
    assert width_marks(12, ["small"], ["thin"]) == (set(), set())


def test_every_gene_reaches_the_drawing_and_the_table(tmp_path: Path) -> None:
    directory = make_run(tmp_path / "run", strategies=("hybrid",), candidates=10)
    blocks = (
        Block(spatial_type="1std", spatial_kernel=3, spatial_act="hswish", filters=16, expand=0, repeats=3),
        Block(spatial_type="depth", spatial_kernel=5, filters=24, expand=2, inverted_bottleneck=True, skip=True),
        Block(spatial_type="maxpool", spatial_kernel=3, temporal_kernel=3, expand=0, non_local=8, act="hswish"),
    )
    edit_results(directory, genotype=Genotype(image_size=16, num_frames=1, blocks=blocks).to_json())
    (directory / "config.json").write_text(json.dumps({"config": {"head": "max_time"}}), encoding="utf-8")
    markdown = report(directory)
    for row in (
        "| 1 | 1std 3 | none: one frame | 16 | 0 (no layer) | 3 | – | – | – | spatial hswish |",
        "| 2 | depth 5 | none: one frame | 24 (inverted) | 2 | 1 | – | – | yes | relu |",
        "| 3 | maxpool 3 | none: one frame | 32 | 0 (no layer) | 1 | – | non-local 8 | – | unit hswish |",
    ):
        assert row in markdown
    assert "16 px × 1 frame\n" in markdown
    assert "Evolution seeded by the gradient search found a network" in markdown
    assert "Few evaluations" not in markdown
    page = (directory / "report.html").read_text(encoding="utf-8")
    for words in ("non-local, 8 wide", "16 × 16 px × 1 frame", "hswish", "×2", "largest over time → 6 classes"):
        assert f">{words}<" in page, words
