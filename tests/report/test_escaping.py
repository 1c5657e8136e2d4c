"""Names that came from outside, in everything that is shown as HTML or SVG: shown as text, never as tags."""

import json
import os
import re
from html.parser import HTMLParser
from pathlib import Path
from xml.etree import ElementTree

import pytest

from tests.reliability.hostile_names import hidden
from tests.report.fabricated_run import make_run
from tvnjax.cli import main
from tvnjax.report.comparing.page import write_comparison
from tvnjax.report.page import write_report
from tvnjax.spaces.tvn.genotype import Block, Genotype

EVIL = "<script>alert(1)</script>"
QUOTED = "\" onload='alert(1)' x=\""
TAGS = {
    *("html", "head", "meta", "title", "style", "body", "header", "h1", "h2", "h3", "nav", "a", "main", "section", "p"),
    *("div", "ul", "li", "pre", "code", "figure", "figcaption", "details", "summary", "table", "caption", "thead"),
    *("tbody", "tr", "th", "td", "span", "small", "b", "svg", "g", "path", "text", "tspan", "defs", "clippath", "use"),
    *("rect", "desc", "image", "polygon", "circle", "ellipse", "line"),
}


class Page(HTMLParser):
    """Checks every tag and attribute as it comes."""

    def __init__(self) -> None:
        super().__init__()
        self.words: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        assert tag in TAGS, tag
        for name, value in attrs:
            assert not name.startswith("on"), (tag, name)
            assert name != "href" or (value or "").startswith(("#", "data:image/png;base64,")), value

    def handle_data(self, data: str) -> None:
        self.words.append(data)


def checked(path: Path) -> str:
    """The text of a page, each of whose tags is one a report has."""
    page, source = Page(), path.read_text(encoding="utf-8")
    page.feed(source)
    assert "<script" not in source.lower() and not re.search(r"<[^>]*\sonload", source)
    return " ".join(" ".join(page.words).split())


def evil_run(folder: Path, name: str) -> Path:
    """A run whose classes, data, files, strategies, machine, options, reasons and genes are called such things."""
    evil = name + QUOTED
    run = make_run(folder, strategies=("differentiable", "random"), candidates=12, blocks=1)
    results = json.loads((run / "results.json").read_text())
    results["data"] |= {"name": f"data {evil}", "class_names": [evil, "up", "down"]}
    results["data"]["skipped"] = [{"path": f"clips/{evil}.mp4", "reason": evil, "label": evil, "split": "train"}]
    results["data"]["splits"] = {evil: 3}
    results["environment"] |= {"processor": evil, evil: evil}
    results["counting_rule"] = results["latency_rule"] = evil
    results["reference"]["budget_rule"] = evil
    for row in results["strategies"]:
        row |= {"genotype_id": evil, "error": evil, "spent": {evil: 1.0}}
        row["name"] = evil if row["name"] == "random" else row["name"]
    (run / "results.json").write_text(json.dumps(results))
    (run / "config.json").write_text(json.dumps({"command": f"tvnjax run {evil}", "config": {evil: [evil]}}))
    events = [json.loads(line) for line in (run / "events.jsonl").read_text().splitlines()]
    for event in events:
        event["strategy"] = evil if event.get("strategy") == "random" else event.get("strategy")
        for key in ("reason", "stage", "note", "text"):
            if key in event:
                event[key] = evil
        if isinstance(event.get("rows"), list):
            event["rows"] = [row | {"stage": evil, "note": evil} for row in event["rows"]]
    (run / "events.jsonl").write_text("".join(json.dumps(event) + "\n" for event in events))
    return run


@pytest.fixture(autouse=True)
def _coarse_pictures(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tvnjax.report.figures.canvas.PNG_DPI", 12)


def test_a_report_shows_names_as_text(tmp_path: Path) -> None:
    run = evil_run(tmp_path / f"run {EVIL.replace('/', '')}", EVIL)
    write_report(run)
    text = checked(run / "report.html")
    assert f"Search report: run {EVIL.replace('/', '')}" in text
    assert text.count(EVIL) >= 12
    assert f"classes: {EVIL}{QUOTED}, up, down" in text
    assert "<script" not in re.sub(r"^(`{3,})\n.*?\n\1$", "", (run / "report.md").read_text(), flags=re.S | re.M)


def test_a_comparison_shows_names_as_text(tmp_path: Path) -> None:
    runs = [evil_run(tmp_path / str(seed), f"{EVIL}{seed}") for seed in (0, 1)]
    write_comparison(runs, tmp_path / "out")
    text = checked(tmp_path / "out" / "compare.html")
    assert f"The runs are of different data: data {EVIL}0" in text and f"{EVIL}1" in text


def test_whole_pages_hide_nothing(tmp_path: Path) -> None:
    """Control characters, marks of direction, halves of characters; in legends, too."""
    name = "a\x1b[31m\x00\x07\x9b2J\u202eb\u2028c\udcff|`$x$\uffff"
    run = evil_run(tmp_path / os.fsdecode(b"run\xff\x1b[31m"), name)
    write_report(run)
    write_comparison([run], tmp_path / "out")
    shown = r"a\x1b[31m\x00\x07\x9b2J\u202eb\u2028c\xff|`$x$\uffff"
    for page in (run / "report.html", tmp_path / "out" / "compare.html"):
        assert not hidden(page.read_text(encoding="utf-8"), "\n") and shown in checked(page)
    for page in (run / "report.md", tmp_path / "out" / "compare.md"):
        assert not hidden(page.read_text(encoding="utf-8"), "\n")
        assert r"a\\x1b\[31m" in page.read_text(encoding="utf-8")
    assert r"run\xff\x1b[31m" in checked(run / "report.html")


def test_a_drawing_holds_a_files_name_as_text(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    genotype = Genotype(image_size=16, num_frames=2, blocks=(Block(spatial_kernel=3, skip=True),))
    name = EVIL.replace("/", "") + QUOTED.replace("/", "") + "$x_1$"
    path = tmp_path / f"{name}.json"
    path.write_text(json.dumps({"name": EVIL, **genotype.to_json()}))
    out = tmp_path / "drawing.svg"
    assert main(["show", str(path), "--out", str(out)]) == 0
    drawing = ElementTree.parse(out).getroot()
    tags = {element.tag.rsplit("}", 1)[-1].lower() for element in drawing.iter()}
    assert "script" not in tags
    assert all(not key.lower().startswith("on") for element in drawing.iter() for key in element.attrib)
    assert name in " ".join(" ".join(drawing.itertext()).split())
    capsys.readouterr()


def test_a_notebook_shows_a_genotype_without_foreign_tags() -> None:
    genotype = Genotype(image_size=16, num_frames=2, blocks=(Block(spatial_kernel=3, skip=True, squeeze=0.5),))
    page = Page()
    page.feed(genotype._repr_html_())
    assert "block 1" in page.words
