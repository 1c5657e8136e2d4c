"""Ten thousand hostile names, printed everywhere a name is printed: shown as text, never obeyed."""

import html.parser
import importlib.util
import io
import json
import re
import struct
import unicodedata
import warnings
from collections.abc import Iterator
from xml.etree import ElementTree

import pytest
from markdown_it import MarkdownIt
from rich.table import Table as RichTable

from tests.reliability.hostile_names import hidden, names
from tvnjax.cli import _show_warning, main
from tvnjax.cli.console import ConsoleMonitor, PlainConsole
from tvnjax.cli.machine import print_csv, print_json
from tvnjax.core.errors import InvalidInputError
from tvnjax.core.jsonl import Lines, read_lines
from tvnjax.core.printable import printable, say
from tvnjax.core.run_dir import read_json, write_json
from tvnjax.report import document as parts
from tvnjax.report.document import Cell, Document, Section
from tvnjax.report.figures.canvas import new_figure, report_style, strategy_legend, strategy_looks, to_png, to_svg
from tvnjax.report.markdown import render_markdown
from tvnjax.report.page import render_html
from tvnjax.training.event_log import EventLog

CASES = 10_000
_ESCAPES = re.compile(r"\\(x[0-9a-f]{2}|u[0-9a-f]{4}|U[0-9a-f]{8}|[nrt])")


def batches(size: int, count: int = CASES) -> Iterator[list[str]]:
    found = names(count)
    return (found[start : start + size] for start in range(0, count, size))


def test_nothing_is_hidden_and_nothing_shown_is_changed():
    for name in names(CASES):
        shown = printable(name, limit=10**6)
        assert not hidden(shown) and printable(shown, limit=10**6) == shown
        shown.encode("utf-8")
        if "\\" not in name:
            assert _ESCAPES.sub("", shown) == "".join(c for c in name if printable(c) == c)
        short = printable(name, 120)
        assert len(short) <= 120 and (short == shown or f"{len(shown) - 120:,} more characters" in short)


def test_every_character_of_unicode():
    """By Unicode's own categories, which the pattern does not use."""
    seen = {*range(0x600, 0x606), 0x6DD, 0x70F, 0x890, 0x891, 0x8E2, 0x110BD, 0x110CD, *range(0x13430, 0x13460)}
    for code in range(0x110000):
        character = chr(code)
        category, shown = unicodedata.category(character), printable(character)
        if category in ("Cc", "Cs", "Zl", "Zp") or code & 0xFFFE == 0xFFFE:
            assert shown != character and shown.isascii(), hex(code)
        elif category == "Cf":  # written signs of numbers and hieroglyphs, and what joins letters, are left
            assert shown.isascii() or code in seen or character in "\u200c\u200d", hex(code)
        elif category[0] in "LNPSZ" and code not in (0x115F, 0x1160, 0x3164, 0xFFA0):
            assert shown == character, hex(code)


def test_names_of_bytes_show_the_bytes():
    assert printable("clip\udcff\udc80.avi") == r"clip\xff\x80.avi"
    assert printable("a\x1b[31mb\u202ec\ud800\U000e0041\nd") == r"a\x1b[31mb\u202ec\ud800\U000e0041\nd"


def test_lines_of_the_terminal(capsys):
    for name in names(CASES):
        say(name)
        say(name, error=True)
        message = str(InvalidInputError(f"a class has a name; got {name}: rename it"))
        assert not hidden(message) and len(message) <= 2000 and message.endswith(": rename it")
    told = capsys.readouterr()
    assert told.out == told.err and told.out.count("\n") == CASES and not hidden(told.out, "\n")


def test_tables_of_the_terminal():
    for index, batch in enumerate(batches(100)):
        table = RichTable("strategy", printable(batch[0], 60), title=batch[1].replace("\n", ""))
        for name in batch:
            table.add_row(printable(name, 100))
        file = io.StringIO()
        PlainConsole(file=file, width=4000).print(table, batch[2])
        assert not hidden(file.getvalue(), "\n")
        for name in batch:
            assert printable(name, 100).strip() in file.getvalue()
        if index % 10 == 0:
            file, raw = io.StringIO(), RichTable(*batch[:2], title=batch[2])
            raw.add_row(*batch[:2])
            PlainConsole(file=file, width=300, force_terminal=True, color_system="truecolor").print(raw, style="red")
            assert not hidden(re.sub(r"\x1b\[[0-9;]*m", "", file.getvalue()), "\n")


def test_progress_warnings_and_refusals(capsys):
    monitor = ConsoleMonitor(console=PlainConsole(file=io.StringIO(), force_terminal=False))
    for name in names(400, seed=1):
        monitor.progress(name, 1, 1, name)
        _show_warning(f"skipped {name}", UserWarning)
        assert main(["show", f"{name}.json"]) == 2 and main([name or "x"]) == 2
        assert main(["run", name]) == 2 or name.startswith("-h")
    told = capsys.readouterr()
    assert not told.out and not hidden(told.err, "\n")
    assert {line.split(" ")[0] for line in told.err.splitlines() if line.startswith(("error", "warn"))} == {
        "error:",
        "warning:",
    }


def test_a_bar_shows_names_as_text():
    file = io.StringIO()
    console = PlainConsole(file=file, force_terminal=True, width=400, color_system=None)
    with ConsoleMonitor(console=console) as monitor:
        monitor.progress("[red]\x1b]0;x\x07[/]", 1, 2, "[bold]loss\x9b2J")
    told = re.sub(r"\x1b\[[0-9;?]*[A-Za-z]", "", file.getvalue())
    assert r"[red]\x1b]0;x\x07[/]" in told and r"[bold]loss\x9b2J" in told and not hidden(told, "\n\r")


def test_json_and_csv_for_other_programs(capsys):
    for batch in batches(500):
        whole = [name for name in batch if not re.search("[\ud800-\udbff][\udc00-\udfff]", name)]
        print_json({"names": whole})
        assert json.loads(capsys.readouterr().out.encode("utf-8")) == {"names": whole}
        print_csv([{"name": name, "ms": 1.0} for name in batch])
        assert not hidden(capsys.readouterr().out, "\n")


def test_files_of_a_run_keep_names_as_they_are(tmp_path):
    # Two halves side by side are one character to JSON; file names have lower halves alone.
    kept = [name for name in names(CASES) if not re.search("[\ud800-\udbff][\udc00-\udfff]", name)]
    write_json(tmp_path / "names.json", {"names": kept, **dict.fromkeys(kept[:100], 1)})
    assert read_json(tmp_path / "names.json")["names"] == kept
    lines = Lines(tmp_path / "events.jsonl")
    for name in kept:
        lines.add({"name": name})
    lines.close()
    found, unread = read_lines(tmp_path / "events.jsonl")
    assert ([line["name"] for line in found], unread) == (kept, 0)


def page_of(batch: list[str]) -> Document:
    """Every part that holds text, each with names in all its places."""
    name = iter(batch * 2).__next__
    table = parts.Table(
        header=(name(), name()),
        rows=tuple((Cell(text=name()), Cell(text=name(), note=name(), alert=True)) for _ in range(10)),
        caption=name(),
    )
    blocks = (
        *(parts.Paragraph(text=name()) for _ in range(10)),
        parts.Paragraph(text=name(), strong=True),
        parts.Callout(lines=(name(), name()), level="alert"),
        table,
        parts.Code(text=f"{name()}\n{name()}"),
        parts.Subtitle(text=name()),
        parts.Details(summary=name(), blocks=(parts.Paragraph(text=name()), table)),
        parts.Picture(name="one", caption=name(), alt=name(), svg="<svg></svg>", png=b""),
    )
    return Document(title=name(), sections=(Section(anchor="a", title=name(), blocks=blocks),))


class Tags(html.parser.HTMLParser):
    def __init__(self) -> None:
        super().__init__()
        self.tags: list[object] = []
        self.words: list[str] = []

    def handle_starttag(self, tag, attrs):
        self.tags.append((tag, attrs))

    def handle_endtag(self, tag):
        self.tags.append(tag)

    def handle_comment(self, data):
        raise AssertionError(data)

    handle_pi = handle_unknown_decl = handle_comment

    def handle_data(self, data):
        self.words.append(data)


def test_html_has_the_tags_it_has_without_names():
    def parsed(batch):
        page = Tags()
        source = render_html(page_of(batch))
        page.feed(source)
        page.close()
        assert not hidden(source, "\n")
        return page.tags, "".join(page.words)

    plain, _ = parsed(["x"] * 60)
    for batch in batches(60):
        tags, text = parsed(batch)
        assert tags == plain
        for name in batch[:2]:
            assert printable(name, 60) in text
        for name in batch[2:8]:
            assert printable(name, 1000) in text


def test_markdown_has_the_blocks_it_has_without_names():
    markdown = MarkdownIt("commonmark").enable("table")

    def parsed(batch):
        source = render_markdown(page_of(batch))
        assert not hidden(source, "\n")
        kinds, texts = [], []
        for token in markdown.parse(source):
            kinds.append((token.type, token.tag))
            if token.type == "html_block":
                kinds.append(re.sub(r"(?<=<summary>).*(?=</summary>)", "", token.content.strip()))
            for child in token.children or ():
                if child.type == "text":
                    texts.append(child.content)
                else:
                    kinds.append((child.type, child.tag, child.content if child.type == "html_inline" else ""))
        return kinds, texts

    plain, _ = parsed(["x"] * 60)
    for batch in batches(60):
        batch = [name if name.strip(" ") else "blank" for name in batch]
        kinds, texts = parsed(batch)
        assert kinds == plain
        for name in batch[2:20]:
            assert " ".join(printable(name, 1000).split()) in texts


def test_svg_and_png():
    with report_style(), warnings.catch_warnings():
        warnings.filterwarnings("error")
        warnings.filterwarnings("ignore", "pictures have boxes")
        for batch in batches(100, 2000):
            figure = new_figure(720, 600)
            axes = figure.subplots()
            axes.plot([0, 1], [0, 1])
            axes.set_title(batch[0].replace("\n", ""))
            axes.set_xlabel(batch[1].replace("\n", ""))
            axes.set_yticks([0, 1], [printable(batch[2], 30), printable(batch[3], 30)])
            for index, name in enumerate(batch[4:95]):
                axes.text(0.5, index / 91, name).set_in_layout(False)
            strategies = list(dict.fromkeys(batch[95:]))
            strategy_legend(figure, strategy_looks(strategies), strategies)
            svg = to_svg(figure, "one", batch[0], batch[1])
            assert not hidden(svg, "\n")
            drawing = ElementTree.fromstring(svg)
            assert not {e.tag for e in drawing.iter()} & {"script", "a", "image", "foreignObject"}
            assert not [key for e in drawing.iter() for key in e.attrib if key.startswith("on")]
            words = " ".join("".join(drawing.itertext()).split())
            for name in strategies:
                assert " ".join(printable(name, 60).split()) in words
        assert to_png(figure).startswith(b"\x89PNG")


@pytest.mark.skipif(importlib.util.find_spec("tensorboardX") is None, reason="tensorboardX is not installed")
def test_tensorboard(tmp_path):
    from tensorboardX.proto.event_pb2 import Event

    class Monitor:
        def event(self, kind, **fields):
            pass

        def progress(self, *arguments):
            pass

    drawn = names(1000)
    with EventLog(tmp_path, Monitor(), tensorboard=True) as log:
        for step, name in enumerate(drawn):
            log.scalars(step, **{f"class/{name}": 0.5})
    (file,) = (tmp_path / "tensorboard").iterdir()
    data, tags = file.read_bytes(), {}
    while data:
        (length,) = struct.unpack("<Q", data[:8])
        event = Event.FromString(data[12 : 12 + length])
        for value in event.summary.value:
            tags[event.step] = value.tag
        data = data[16 + length :]
    assert sorted(tags) == list(range(len(drawn))) and not any(map(hidden, tags.values()))
