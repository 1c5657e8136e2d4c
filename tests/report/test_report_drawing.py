import re
from collections import Counter

import numpy as np
import pytest

from tests.report.fabricated_run import search_space
from tvnjax.graph import Network
from tvnjax.graph.outline import collapse
from tvnjax.report.drawing import describe_network, draw_network
from tvnjax.report.figures.canvas import report_style, to_svg
from tvnjax.spaces.tvn.genotype import Block, Genotype
from tvnjax.spaces.tvn.lowering import lower


def drawn_words(network: Network) -> Counter[str]:
    """Every piece of text in the drawing, as a reader of the SVG meets it."""
    with report_style():
        svg = to_svg(draw_network(network), "net", "a network", "in words")
    return Counter(re.findall(r"<text[^>]*>([^<]*)</text>", svg))


@pytest.mark.parametrize("blocks", range(1, 9))
def test_every_layer_of_one_to_eight_blocks_is_named(blocks: int) -> None:
    network = lower(search_space(blocks).sample(np.random.default_rng(blocks)), 6)
    words = drawn_words(network)
    shown = [unit for stretch in collapse(network) for unit in stretch.units]
    wanted = Counter(layer.words.kind for unit in shown for layer in unit.layers)
    assert wanted and all(words[kind] >= times for kind, times in wanted.items())
    assert all(words[f"block {index + 1}"] == 1 for index in {unit.block for unit in network.units})
    assert words["skip"] == sum(unit.shortcut is not None for unit in shown)
    assert "64 × 64 px × 8 frames, stride 2" in words
    assert any(word.endswith("6 classes") for word in words)


def test_equal_and_alternating_repeats_are_joined() -> None:
    plain = Block(spatial_kernel=3, filters=16, repeats=8)
    alternating = Block(spatial_kernel=3, temporal_kernel=3, filters=16, repeats=8)
    genotype = Genotype(image_size=32, num_frames=4, blocks=(plain, alternating))
    network = lower(genotype, 3)
    stretches = collapse(network)
    assert [(len(stretch.units), stretch.times) for stretch in stretches] == [(1, 1), (1, 7), (2, 4)]
    assert stretches[0].units == network.units[:1]
    assert sum(len(stretch.units) * stretch.times for stretch in stretches) == len(network.units)
    words = drawn_words(network)
    assert words["×7"] == words["×4"] == 1


def test_gates_strides_and_shapes_are_written_out() -> None:
    block = Block(
        spatial_type="depth", spatial_kernel=5, spatial_stride=2, filters=24, squeeze=0.5, context_gate=True, skip=True
    )
    gated = Block(spatial_type="maxpool", spatial_kernel=2, filters=24, non_local=8)
    network = lower(Genotype(image_size=32, num_frames=4, frame_stride=3, blocks=(block, gated)), 5)
    words = drawn_words(network)
    for word in (
        "depthwise",
        "1×5×5",
        "stride 1×2×2",
        "→ 24",
        "squeeze-excite, 12 hidden",
        "context gate",
        "skip",
        "+",
    ):
        assert words[word], word
    for word in ("4×32×32×3", "4×16×16×24", "max pool", "non-local, 8 wide"):
        assert words[word], word
    described = describe_network(network)
    assert "32 by 32 pixels, 4 frames, stride 3" in described and "with a skip connection" in described


def test_a_network_without_units_is_drawn() -> None:
    network = lower(Genotype(image_size=8, num_frames=1, blocks=(Block(expand=0),)), 2)
    assert drawn_words(network)["head"] == 1
