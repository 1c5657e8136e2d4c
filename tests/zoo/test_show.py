"""Showing, comparing and scaling networks from the command line."""

import json
import re

import pytest

from tvnjax.cli import main
from tvnjax.graph.outline import blocks
from tvnjax.report.figures.canvas import report_style, to_svg
from tvnjax.report.overview import draw_overview
from tvnjax.spaces.tvn.genotype import genotype_from_json
from tvnjax.zoo.registry import ZOO, zoo_entry
from tvnjax.zoo.tvn import TVN1


@pytest.mark.parametrize("name", ["tvn2", "x3d-m", "movinet-a3", "mobilenetv3-large", "r2plus1d-50"])
def test_a_drawing_names_every_layer_and_every_share(name):
    network = zoo_entry(name).network()
    shares = dict.fromkeys(range(len(blocks(network))), 1 / 64)
    with report_style():
        svg = to_svg(draw_overview(network, name, shares, "latency"), "net", name, "in words")
    words = re.findall(r"<text[^>]*>([^<]*)</text>", svg)
    for _, stretches in blocks(network):
        for layer in (layer for stretch in stretches for unit in stretch.units for layer in unit.layers):
            assert layer.label in words
    assert words.count("1.6%") == len(blocks(network))
    assert all(f"block {index + 1}" in words for index, _ in blocks(network))


@pytest.mark.parametrize("name", ZOO)
def test_an_outline_holds_every_unit(name):
    network = zoo_entry(name).network()
    joined = [unit for _, rows in blocks(network) for row in rows for unit in row.units * row.times]
    assert [unit.key for unit in joined] == [unit.key for unit in network.units]


def test_show_as_text_and_as_files(tmp_path, capsys):
    file = tmp_path / "mine.json"
    file.write_text(json.dumps(TVN1.to_json()))
    assert main(["show", str(file)]) == 0
    text = " ".join(capsys.readouterr().out.split())
    assert "71.7%" in text and "26,414,721 parameters" in text and "padding taps counted" in text
    for ending, start in (("svg", b"<?xml"), ("png", b"\x89PNG")):
        out = tmp_path / f"net.{ending}"
        assert main(["show", "tvn1", "--out", str(out), "--frames", "4"]) == 0
        assert out.read_bytes().startswith(start)
    assert main(["show", "tvn1", "--out", str(tmp_path / "net.txt")]) == 2
    assert main(["show", str(tmp_path / "none.json")]) == 2
    assert main(["show", "tnv1"]) == 2
    assert "did you mean 'tvn1'" in capsys.readouterr().err


def test_a_notebook_shows_a_genotype_without_jax():
    html = TVN1._repr_html_()
    assert "26,414,721 parameters" in html and html.count("block ") == 4 and "4×4 /2 → 64" in html
    assert html.count("<tr>") == html.count("</tr>") and html.count("<span") == html.count("</span>")


def test_diff_and_scale(tmp_path, capsys, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert main(["scale", "tvn1", "--compound", "1"]) == 0
    scaled = genotype_from_json(json.loads((tmp_path / "tvn1-scaled.json").read_text()))
    assert scaled.image_size == 256 and "predicted" not in capsys.readouterr().out
    assert main(["scale", "tvn1", "--compound", "1"]) == 0, "the same file again replaces nothing"
    assert main(["scale", "tvn1", "--compound", "2"]) == 2
    assert "already" in capsys.readouterr().err
    assert main(["scale", "tvn1", "--frames", "8", "--out", "long.json"]) == 0
    assert main(["diff", "tvn1", "long.json"]) == 0
    text = " ".join(capsys.readouterr().out.split())
    assert "input num_frames 2 8" in text and "26,414,721 parameters" in text
    assert main(["diff", "tvn1", "tvn1"]) == 0
    assert "the same genes" in capsys.readouterr().out
    assert main(["diff", "tvn1", "x3d-s"]) == 2
    assert main(["scale", "tvn1"]) == 2
    assert main(["scale", "tvn1", "--compound", "1", "--width", "2"]) == 2
