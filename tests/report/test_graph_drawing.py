"""Drawings and texts of networks that are no chains show every layer inside of branches, and where each array goes."""

import json
import re
from collections import Counter

import pytest

from tests.graph.example_networks import assemblenet_like, conv, evanet_like, network, unit
from tests.graph.published import assemblenet_50
from tests.report.test_report_drawing import drawn_words
from tvnjax.cli import show
from tvnjax.graph import Branches, Network, Shape
from tvnjax.graph.outline import blocks, collapse
from tvnjax.report.drawing import describe_network, draw_network
from tvnjax.report.drawing_wires import Wires
from tvnjax.report.figures.canvas import report_style, to_svg
from tvnjax.report.overview import draw_overview


def overview_words(lowered: Network) -> Counter[str]:
    shares = {block: 0.1 for block, _ in blocks(lowered)}
    with report_style():
        svg = to_svg(draw_overview(lowered, "net", shares, "multiply-adds"), "net", "net", "in words")
    return Counter(re.findall(r"<text[^>]*>([^<]*)</text>", svg))


def test_layers_inside_of_branches_are_drawn():
    words = drawn_words(evanet_like())
    assert words["3 branches, concatenated"] == 2 and words["×2"] == 1
    assert words["max pool"] == 1 + 2 and words["3×3×3"] == 1 + 2 and words["→ 5"] == 2 and words["skip"] == 2
    tiles = overview_words(evanet_like())
    assert tiles["max 3×3×3"] == tiles["concat"] == tiles["1×1 → 5"] == 2
    assert tiles["3×3×3 → 10"] == tiles["3×3 → 10"] == tiles["space-time convolution"] == 1
    assert not tiles["join"], "no tile has its colour"
    assert "[conv 1×1×1 10 | conv 1×1×1 5 relu, conv 3×3×3 10 | max pool 3×3×3 8, conv 1×1×1 10]" in describe_network(
        evanet_like()
    )


def test_a_drawing_says_of_every_input_where_it_comes_from():
    lowered = assemblenet_like()
    words = drawn_words(lowered)
    assert words["clip_1"] == words["clip_2"] == 1 and words["16 × 16 px × 3 frames, stride 1"] == 1
    for source, times in (("clip_1", 1), ("clip_2", 2), ("1", 3), ("2", 3), ("3", 1), ("4", 2), ("5", 1), ("6", 1)):
        assert words[f"from {source}"] == times
    assert all(words[f"{number}"] == 1 for number in range(1, 8))
    assert words["fuse 4, 2 pooled, 2 projected"] == words["mean of 2"] == 1 and words["gates"] == 3
    tiles = overview_words(lowered)
    assert tiles["5 from 1, 2, 3, 4"] == tiles["6 from clip_2, 2, 4"] == tiles["fuse 4 → 16"] == tiles["join"] == 1
    assert tiles["clip_1 16 × 16 px × 3 frames, stride 1, clip_2 3×16×16×2"] == 1
    described = describe_network(lowered)
    assert "another stream of 3×16×16×2" in described and "unit 6 (from clip_2, 2, 4), block 3: fuse 3" in described


def test_lines_of_different_arrays_do_not_run_over_one_another():
    """In no lane does an array leave its box before the one above it has entered its last reader; as few lanes as
    arrays that are alive at once."""
    for lowered in (assemblenet_like(), assemblenet_50(5, 2, 32)):
        wires, wiring = Wires(lowered), lowered.wiring
        readers = {at: [n for n in range(len(wiring.reads)) if at in wires.ports(n)] for at in range(200)}
        spans: dict[float, list[tuple[int, int]]] = {}
        for at, numbers in readers.items():
            if numbers:
                spans.setdefault(wires._lanes[at].x, []).append((at - wiring.streams, max(numbers)))
        for lane in spans.values():
            assert all(end <= start for (_, end), (start, _) in zip(sorted(lane), sorted(lane)[1:]))
        alive = [sum(a < n <= b for lane in spans.values() for a, b in lane) for n in range(len(wiring.reads))]
        assert len(spans) == max(alive)
        with report_style():
            figure = draw_network(lowered)
        (axes,) = figure.axes
        arrows = [patch for patch in axes.patches if type(patch).__name__ == "FancyArrowPatch"]
        entering = sum(len(wires.ports(number)) for number in range(len(wiring.reads)))
        following = sum(wiring.follows(n) for s in collapse(lowered) for n in range(s.first, s.first + len(s.units)))
        assert len(arrows) == entering + following + 1


def test_branches_in_branches_are_drawn():
    clip = Shape(1, 4, 4, 2)
    inner = Branches(in_shape=clip, branches=((conv(clip, 3),), ()))
    outer = Branches(
        in_shape=clip, branches=((inner, conv(inner.out_shape, 7)), (conv(clip, 7, (1, 3, 3)),)), how="sum"
    )
    lowered = network(clip, [unit(0, 0, (outer,), shortcut=(conv(clip, 7),), act="relu")])
    words = drawn_words(lowered)
    assert words["2 branches, added"] == words["2 branches, concatenated"] == words["its input"] == 1
    assert words["→ 3"] == 1 and words["→ 7"] == 4, "two layers, their sum, the shortcut"
    tiles = overview_words(lowered)
    assert tiles["sum"] == tiles["concat"] == tiles["1×1 → 3"] == tiles["input"] == 1 and tiles["1×1 → 7"] == 2


@pytest.mark.parametrize(("make", "graph"), [(evanet_like, False), (assemblenet_like, True)])
def test_a_table_names_what_every_unit_receives(make, graph, capsys):
    lowered = make()
    show._print("net", lowered, dict.fromkeys(range(4), 0.25), "multiply-adds")
    text = " ".join(capsys.readouterr().out.split())
    assert ("4: 3×4×4×16" in text and "clip_2: 3×16×16×2" in text and "fuse 4 → 16" in text) == graph
    assert ("concat [1×1 → 10" in text) != graph and (" unit " in text) == graph
    value = json.loads(json.dumps(show._value("net", lowered, {}, "multiply-adds")))
    assert ("further_inputs" in value) == graph
    if graph:
        row = value["blocks"][5]
        assert (row["units"], row["reads"]) == ("6", ["clip_2", "2", "4"])
        assert row["in_shapes"] == [[3, 16, 16, 2], [3, 8, 8, 4], [3, 4, 4, 16]]
    else:
        assert all("reads" not in row for row in value["blocks"])
    assert sum(row["params"] for row in value["blocks"]) + value["head"]["params"] == lowered.params
