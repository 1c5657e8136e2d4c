import json
import re
import subprocess
import sys
from html.parser import HTMLParser
from pathlib import Path

import pytest

from tests.report.fabricated_run import STRATEGIES, edit_results, keep_events, make_run
from tvnjax.core.errors import InvalidInputError
from tvnjax.report.page import write_report

SECTIONS = (
    "Result",
    "Strategies side by side",
    "The networks",
    "Figures",
    "Supernet-to-network gap",
    "Data",
    "Environment and rerun",
    "Notes",
)
FIGURES = (
    "network-1",
    "network-2",
    "network-3",
    "accuracy-latency",
    "best-so-far",
    "search-trace",
    "mean-entropy",
    "parameter-free",
    "costs",
    "shapes",
    "marginals",
    "entropy",
    "predicted-measured",
    "retraining",
)


class Page(HTMLParser):
    """Tags, their attributes and the text of a page."""

    def __init__(self, path: Path) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.words: list[str] = []
        self.feed(path.read_text(encoding="utf-8"))

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))

    def handle_data(self, data: str) -> None:
        self.words.append(data)

    @property
    def text(self) -> str:
        return " ".join(" ".join(self.words).split())


def small_run(directory: Path) -> Path:
    """A run of one strategy without events: quick to report on."""
    return make_run(directory, strategies=("random",), candidates=20, events=False)


def rows(markdown: str) -> dict[str, list[str]]:
    """Cells of every table row by its first cell, without the note under it."""
    found: dict[str, list[str]] = {}
    for line in markdown.splitlines():
        if line.startswith("| "):
            first, *others = (cell.strip() for cell in line.strip("| ").split(" | "))
            found.setdefault(first.split(" <br>")[0], others)
    return found


def test_both_files_have_every_section_and_figure(finished: Path) -> None:
    page, markdown = Page(finished / "report.html"), (finished / "report.md").read_text(encoding="utf-8")
    for title in SECTIONS:
        assert f"## {title}\n" in markdown
        assert title in page.words
    ids = [attributes.get("id") for _, attributes in page.tags if attributes.get("id")]
    assert len(ids) == len(set(ids))
    for name in FIGURES:
        assert f"figure-{name}" in ids
        assert f"(figures/{name}.png)" in markdown
        assert (finished / "figures" / f"{name}.png").read_bytes().startswith(b"\x89PNG")
    assert "Left out" not in markdown
    drawings = [attributes for tag, attributes in page.tags if tag == "svg"]
    assert len(drawings) == len(FIGURES)
    assert all(attributes["aria-describedby"] in ids for attributes in drawings)


def test_the_table_has_the_numbers_of_the_results(finished: Path) -> None:
    results = json.loads((finished / "results.json").read_text(encoding="utf-8"))
    table = rows((finished / "report.md").read_text(encoding="utf-8"))
    page = Page(finished / "report.html").text
    entries = results["strategies"]
    assert tuple(entry["name"] for entry in entries) == STRATEGIES
    for label, key, scale, decimals in (
        ("top-1, test (%)", "top1", 100, 1),
        ("top-5, test (%)", "top5", 100, 1),
        ("measured latency (ms)", "latency_ms", 1, 2),
        ("spread of the calls (ms)", "latency_iqr_ms", 1, 2),
        ("predicted latency (ms)", "predicted_ms", 1, 2),
        ("budget (ms)", "budget_ms", 1, 2),
        ("parameters", "params", 1, 0),
        ("multiply-adds (millions)", "macs", 1e-6, 2),
        ("peak memory (MiB)", "memory_mb", 1, 2),
        ("search (s)", "seconds", 1, 0),
        ("networks evaluated", "evaluations", 1, 0),
        ("infeasible candidates", "infeasible", 1, 0),
    ):
        for cell, entry in zip(table[label], entries, strict=True):
            assert float(cell.replace(",", "")) == pytest.approx(entry[key] * scale, abs=0.5001 * 10**-decimals), label
            assert cell in page
    assert [float(cell) for cell in table["of which compilation (s)"]] == [e["compile_seconds"] for e in entries]
    assert table["network"] == [entry["genotype_id"] for entry in entries]
    for cell, entry in zip(table["infeasible of all proposed (%)"], entries):
        share = entry["infeasible"] / (entry["infeasible"] + entry["evaluations"])
        assert float(cell) == pytest.approx(100 * share, abs=0.051)
    for cell, entry in zip(table["measured / budget (%)"], entries):
        assert float(cell) == pytest.approx(100 * entry["latency_ms"] / entry["budget_ms"], abs=0.051)


def test_the_counting_rule_stands_beside_the_counts(finished: Path) -> None:
    markdown = (finished / "report.md").read_text(encoding="utf-8")
    row = next(line for line in markdown.splitlines() if line.startswith("| multiply-adds"))
    assert "convolutions and matrix products only, one clip, padding taps counted" in row


def test_the_page_needs_nothing_from_outside(finished: Path) -> None:
    text = (finished / "report.html").read_text(encoding="utf-8")
    page = Page(finished / "report.html")
    assert "http:" not in text and "https:" not in text and "@import" not in text
    assert not {"script", "link", "iframe", "img"} & {tag for tag, _ in page.tags}
    for _, attributes in page.tags:
        for key in ("href", "src", "xlink:href"):
            assert (attributes.get(key) or "#").startswith(("#", "data:image/png;base64,"))
    assert all(target.startswith("#") for target in re.findall(r"url\(([^)]*)\)", text))
    assert "prefers-color-scheme: dark" in text
    assert any(attributes.get("name") == "viewport" for _, attributes in page.tags)


def test_text_from_data_is_escaped(tmp_path: Path) -> None:
    directory = small_run(tmp_path / "<i>run")
    bad = "<script>alert(1)</script>"
    results = edit_results(directory, genotype_id=bad, error=bad)
    results["data"]["class_names"][0] = bad
    results["data"]["skipped"] = [{"path": f"clips/{bad}|`a`*\udcff", "reason": f"\x07{bad}"}]
    results["environment"][bad] = bad
    results["strategies"].append(results["strategies"][0] | {"name": f"mine {bad} $x_1$", "seed": 4})
    (directory / "results.json").write_text(json.dumps(results), encoding="utf-8")
    (directory / "config.json").write_text(json.dumps({"command": bad, "fence": "````"}), encoding="utf-8")
    write_report(directory)
    text = (directory / "report.html").read_text(encoding="utf-8")
    assert "<script" not in text and "<i>" not in text
    assert text.count("&lt;script&gt;") >= 8
    markdown = (directory / "report.md").read_text(encoding="utf-8")
    outside_code = re.sub(r"^(`{3,})\n.*?\n\1$", "", markdown, flags=re.DOTALL | re.MULTILINE)
    assert "<script" not in outside_code and "<i>" not in outside_code
    assert r"\|\`a\`\*" in outside_code


def test_a_network_over_its_budget_is_named_at_the_top(tmp_path: Path) -> None:
    directory = small_run(tmp_path / "run")
    results = edit_results(directory, latency_ms=7.5, budget_ms=6.0)
    write_report(directory)
    markdown = (directory / "report.md").read_text(encoding="utf-8")
    top = markdown[: markdown.index("## Strategies")]
    identity = results["strategies"][0]["genotype_id"]
    assert f"Over budget: the network of random, seed 0 ({identity}) takes 7.50 ms measured, 6.00 ms allowed" in top
    assert "125.0 %" in top and "No network is over" not in top
    assert "No strategy found a network that was retrained, measured and within its budget." in top


def test_a_missed_latency_gate_is_named_at_the_top_and_a_kept_one_too(tmp_path: Path) -> None:
    def page_with(**changes: object) -> str:
        directory = tmp_path / str(len(list(tmp_path.iterdir())))
        make_run(directory)
        results = json.loads((directory / "results.json").read_text(encoding="utf-8"))
        results["latency_gate"] |= changes
        (directory / "results.json").write_text(json.dumps(results), encoding="utf-8")
        write_report(directory)
        return (directory / "report.md").read_text(encoding="utf-8")

    missed = page_with()
    assert "miss the gate: Kendall's tau 0.87, at least 0.90 asked. Only measured ones count." in missed
    assert missed.index("miss the gate") < missed.index("most accurate network") + 2000
    table = rows(missed)
    assert table["mean absolute error"][:2] == ["5.2%", "4.0%"] and table["networks"][:2] == ["120", "33"]
    assert "keep the gate, on random and on chosen" in page_with(failures=[])
    few = ["8 random networks, 100 asked"]
    assert "keep the gate; it rests on fewer networks than asked (8 random" in page_with(failures=few, too_few=few)


def test_the_headline_names_the_winner_and_what_weakens_it(finished: Path) -> None:
    markdown = (finished / "report.md").read_text(encoding="utf-8")
    entries = json.loads((finished / "results.json").read_text(encoding="utf-8"))["strategies"]
    best = max(entries, key=lambda entry: entry["top1"])
    top = markdown[: markdown.index("## Strategies")]
    assert f"**{best['name'].capitalize()}" in top and f"{100 * best['top1']:.1f} % top-1" in top
    assert "No network is over its budget" in top
    assert "One seed only for differentiable, evolution and random" in top
    assert "Few evaluations" in top and "standard error" in top


def test_two_seeds_show_mean_and_deviation(tmp_path: Path) -> None:
    directory = make_run(tmp_path / "run", strategies=("evolution", "random"), seeds=(0, 1), candidates=30)
    keep_events(directory, ["candidate"])
    write_report(directory)
    entries = json.loads((directory / "results.json").read_text(encoding="utf-8"))["strategies"]
    markdown = (directory / "report.md").read_text(encoding="utf-8").replace("\N{NO-BREAK SPACE}", " ")
    table = rows(markdown)
    for name, cell in zip(("evolution", "random"), table["top-1, test (%)"], strict=True):
        first, second = (100 * entry["top1"] for entry in entries if entry["name"] == name)
        mean, deviation = map(float, cell.split(" ± "))
        assert mean == pytest.approx((first + second) / 2, abs=0.051)
        assert deviation == pytest.approx(abs(first - second) / 2**0.5, abs=0.051)
    assert table["budget (ms)"] == ["6.00", "6.00"]
    assert table["seeds"] == ["2", "2"]
    assert all(f"| {entry['name']}, seed {entry['seed']} " in markdown for entry in entries)
    assert "One seed only" not in markdown


@pytest.mark.parametrize("kept", ["profile", "search_step", "marginals", "candidate", "ledger", "retrained", "plan"])
def test_missing_events_leave_their_part_out(tmp_path: Path, kept: str) -> None:
    directory = make_run(tmp_path / "run", strategies=("differentiable",), blocks=1)
    keep_events(directory, [kept])
    write_report(directory)
    lines = (directory / "report.md").read_text(encoding="utf-8").replace("\\_", "_").splitlines()
    left_out = [line for line in lines if line.startswith("Left out")]
    for event in ("profile", "search_step", "marginals", "candidate", "ledger", "retrained", "plan"):
        assert any(f"'{event}' event" in line for line in left_out) != (event == kept)


def test_a_run_without_events_config_or_genotype_is_reported(tmp_path: Path) -> None:
    directory = small_run(tmp_path / "run")
    edit_results(directory, genotype=None, genotype_id=None, top1=None, top5=None, error="training diverged at step 40")
    (directory / "config.json").unlink()
    write_report(directory)
    markdown = (directory / "report.md").read_text(encoding="utf-8")
    assert "No accuracy for random, seed 0: training diverged at step 40" in markdown
    assert "Left out: a drawing for random" in markdown
    assert "Left out: the run directory has no config.json." in markdown
    assert "events.jsonl is missing or empty" in markdown


def test_a_report_leaves_matplotlib_and_jax_alone(tmp_path: Path) -> None:
    code = (
        "import sys, matplotlib, pathlib;"
        # Reading the back end would choose one.
        "read = lambda: {key: matplotlib.rcParams[key] for key in matplotlib.rcParams if key != 'backend'};"
        "before = read();"
        "from tvnjax.report.page import write_report; write_report(pathlib.Path(sys.argv[1]));"
        "assert read() == before;"
        "assert not {'jax', 'flax', 'optax', 'matplotlib.pyplot'} & set(sys.modules)"
    )
    subprocess.run([sys.executable, "-c", code, str(small_run(tmp_path / "run"))], check=True)


def test_a_missing_result_is_an_error_in_one_line(tmp_path: Path) -> None:
    with pytest.raises(InvalidInputError, match=r"made from results\.json; .* has none: finish the run first$"):
        write_report(tmp_path)


def test_the_marginals_mark_what_the_network_has(finished: Path) -> None:
    results = json.loads((finished / "results.json").read_text(encoding="utf-8"))
    text = (finished / "report.html").read_text(encoding="utf-8")
    drawing = text[text.index('id="figure-marginals"') : text.index('id="figure-entropy"')]
    marked = re.findall(r">▸ ([^<]+)</text>", drawing)
    blocks = results["strategies"][0]["genotype"]["blocks"]
    # Seven genes a block: spatial, temporal, filters (which several buckets may reach), expand, squeeze, context gate,
    # skip.
    assert len([mark for mark in marked if not mark.isdigit() or int(mark) < 8]) == 6 * len(blocks)
    for block in blocks:
        assert f"{block['spatial_type']} {block['spatial_kernel']}" in marked
