"""What a unit and a network refuse, what their keys and ids tell apart, and that a chain stays what it was."""

import dataclasses

import pytest

from tests.graph.example_networks import assemblenet_like, conv, evanet_like, network, unit
from tvnjax.core.errors import InvalidInputError
from tvnjax.graph import Branches, Fuse, Merge, Network, Pool, Shape, Stream, Unit
from tvnjax.graph.identity import layers_id
from tvnjax.graph.outline import collapse, parametric_layers, placed_label, reads_text
from tvnjax.zoo.registry import ZOO

CLIP = Shape(2, 8, 8, 3)
STEM = unit(0, 0, (conv(CLIP, 4),))
NEXT = unit(0, 1, (conv(STEM.out_shape, 4),))
SHAPE = STEM.out_shape


def one_line(make, words: str) -> None:
    with pytest.raises(InvalidInputError, match=words) as caught:
        make()
    assert len(str(caught.value).splitlines()) == 1


def chained(*units: Unit, **options) -> Network:
    return network(CLIP, list(units), **options)


def test_an_input_stands_before_its_reader():
    both = Merge(in_shapes=(SHAPE, SHAPE), how="sum")
    for source in (1, 2, -1, True, "0"):
        reader = unit(0, 1, (), inputs=(0, source), join=both)
        one_line(lambda reader=reader: chained(STEM, reader), r"stand before it.*units\[1\] reads")
    one_line(
        lambda: chained(unit(0, 0, (conv(CLIP, 4),), inputs=(Stream(1),))),
        r"from Stream\(0\) to Stream\(0\); units\[0\] reads Stream\(1\)",
    )


def test_shapes_fit():
    other = unit(0, 1, (conv(Shape(2, 8, 8, 5), 4),))
    one_line(lambda: chained(STEM, other), r"units\[1\] takes \(2, 8, 8, 5\), and units\[0\] gives \(2, 8, 8, 4\)")
    one_line(lambda: unit(0, 0, (conv(CLIP, 4), conv(CLIP, 4))), r"takes \(2, 8, 8, 3\) where \(2, 8, 8, 4\) comes in")
    one_line(lambda: unit(0, 0, (conv(CLIP, 4),), shortcut=()), r"a shortcut gives the out_shape.*\(2, 8, 8, 3\)")
    one_line(lambda: dataclasses.replace(STEM, out_shape=CLIP), r"a unit gives the out_shape")
    one_line(lambda: dataclasses.replace(chained(STEM), units=(STEM, NEXT, STEM)), r"units\[2\] takes")
    one_line(lambda: dataclasses.replace(chained(STEM), head=evanet_like().head), "the head takes what the last unit")
    one_line(lambda: dataclasses.replace(chained(), further_inputs=(CLIP,)), "the head takes what the last unit")


def test_several_inputs_have_a_join_of_their_own():
    two, three = (Merge(in_shapes=(SHAPE,) * count, how="sum") for count in (2, 3))
    one_line(lambda: unit(0, 2, (conv(SHAPE, 4),), inputs=(0, 1)), "2 inputs and none: give it join")
    one_line(lambda: unit(0, 2, (), inputs=(0, 1), join=three), "Merge takes 3 arrays, and the unit has 2 inputs")
    one_line(lambda: unit(0, 2, (), join=two), "Merge takes 2 arrays, and the unit has 1 inputs")
    layer = conv(SHAPE, 4)
    one_line(lambda: dataclasses.replace(NEXT, inputs=(0, 1), join=layer), "Conv takes 1 arrays")
    told = {"layers": (conv(CLIP, 4),), "in_shape": CLIP, "out_shape": SHAPE}
    one_line(lambda: Unit(block=0, repeat=2, inputs=(0, 1), join=two, **told), "take what its join gives; sum gives")
    one_line(lambda: unit(0, 0, (two, layer)), r"a layer takes what the one before gives")
    one_line(lambda: two.placed(SHAPE), "Merge joins 2")


def test_nothing_is_left_unread():
    sides = [dataclasses.replace(NEXT, inputs=(0,)), dataclasses.replace(NEXT, inputs=(0,))]
    one_line(lambda: chained(STEM, *sides), r"nobody reads units\[1\]: take it out")
    one_line(lambda: chained(STEM, further_inputs=(CLIP,)), r"nobody reads Stream\(1\)")


@pytest.mark.parametrize(
    ("make", "words"),
    [
        (lambda: Branches(in_shape=CLIP, branches=()), "at least one branch"),
        (lambda: Branches(in_shape=CLIP, branches=((conv(CLIP, 4), conv(CLIP, 4)),)), "in branch 1 of Branches"),
        (
            lambda: Branches(in_shape=CLIP, branches=((conv(CLIP, 4),), (conv(CLIP, 4, stride=(1, 2, 2)),))),
            r"concatenated have the same frames, height and width; got \(2, 8, 8, 4\) and \(2, 4, 4, 4\)",
        ),
        (lambda: Branches(in_shape=CLIP, branches=((conv(CLIP, 4),), ()), how="sum"), "added have the same .*channels"),
        (lambda: Branches(in_shape=CLIP, branches=((),), how="product"), "one of concat, sum, mean; got 'product'"),
        (lambda: Branches(in_shape=CLIP, branches=((),)).placed(SHAPE), r"take \(2, 8, 8, 3\) where \(2, 8, 8, 4\)"),
        (lambda: Fuse(in_shapes=()), "a Fuse joins at least one array"),
        (lambda: Fuse(in_shapes=(CLIP, CLIP._replace(t=1))), r"have the same frames; got \[2, 1\]"),
        (lambda: Fuse(in_shapes=(Shape(1, 7, 7, 2), Shape(1, 3, 3, 2))), r"7×7 under 2×2 is not"),
        (lambda: Fuse(in_shapes=(Shape(1, 8, 4, 2), Shape(1, 4, 3, 2))), r"8×4 under 2×1 is not"),
        (lambda: Merge(in_shapes=(CLIP, SHAPE), how="mean"), "averaged have the same"),
    ],
)
def test_what_cannot_be_joined_is_refused(make, words):
    one_line(make, words)


def test_a_key_tells_computations_apart():
    sizes = (SHAPE, Shape(2, 4, 4, 2))
    fused = unit(0, 2, (conv(Shape(2, 4, 4, 4), 6),), inputs=(0, 1), join=Fuse(in_shapes=sizes))
    assert fused.key == "2x8x8x4 & 2x4x4x2: fuse conv1x1x1>6+bn"
    same = Merge(in_shapes=(SHAPE, SHAPE), how="sum")
    joins = [same, dataclasses.replace(same, how="mean"), dataclasses.replace(same, how="concat")]
    joins += [Fuse(in_shapes=(SHAPE, SHAPE)), Fuse(in_shapes=(SHAPE, Shape(2, 16, 16, 4)))]
    keys = [unit(0, 0, (), inputs=(0, 1), join=join).key for join in joins]
    narrow, wide = conv(SHAPE, 2), conv(SHAPE, 4)
    chains = [((narrow,), (wide,)), ((wide,), (narrow,)), ((narrow, conv(narrow.out_shape, 4)),), ((), (wide,))]
    keys += [unit(0, 0, (Branches(in_shape=SHAPE, branches=chain),)).key for chain in chains]
    assert len(set(keys)) == len(keys)
    elsewhere = unit(3, 1, (), inputs=(4, 7), join=same).key
    assert elsewhere == keys[0], "where a unit stands is no part of what it computes"


def test_an_id_tells_wirings_apart():
    units = assemblenet_like().units
    whole = assemblenet_like()
    crossed = dataclasses.replace(whole, units=(*units[:6], dataclasses.replace(units[6], inputs=(5, 4))))
    assert layers_id(crossed) != layers_id(whole) == layers_id(assemblenet_like(9))
    chain = evanet_like()
    told = tuple(
        dataclasses.replace(unit, inputs=(number - 1 if number else Stream(0),))
        for number, unit in enumerate(chain.units)
    )
    spelt = dataclasses.replace(chain, units=told)
    assert spelt.is_chain and layers_id(spelt) == layers_id(chain), "said or not, a chain is a chain"


def test_published_networks_are_chains():
    ids = {name: layers_id(entry.network()) for name, entry in ZOO.items()}
    assert all(entry.network().is_chain for entry in ZOO.values())
    # As they were before networks were graphs; weights are kept under them.
    assert {name: ids[name] for name in ("tvn1", "x3d-s", "movinet-a0", "r2plus1d-18")} == {
        "tvn1": "06672b3295b88575",
        "x3d-s": "e94469693f3c01cb",
        "movinet-a0": "4148105177a842da",
        "r2plus1d-18": "82676ea4004f7ba0",
    }


def test_an_outline_of_a_graph():
    whole = assemblenet_like()
    assert [reads_text(whole, number) for number in range(7)] == [
        "from clip_1",
        "from clip_2",
        "from 1",
        "from 1, 2",
        "from 1, 2, 3, 4",
        "from clip_2, 2, 4",
        "from 5, 6",
    ]
    assert placed_label(whole, 3).startswith("4 from 1, 2: fuse 2 → 6, t3 → 8")
    assert [(stretch.number, stretch.times) for stretch in collapse(evanet_like())] == [
        ("1", 1),
        ("2", 1),
        ("3", 1),
        ("4-5", 2),
    ]
    # Equal units that all read the same one stand side by side, and repeat nothing; nor do units one of which is read
    # again later.
    sides = [dataclasses.replace(NEXT, inputs=(0,)) for _ in range(3)]
    end = unit(0, 4, (), inputs=(1, 2, 3), join=Merge(in_shapes=(SHAPE,) * 3, how="sum"))
    assert [stretch.times for stretch in collapse(chained(STEM, *sides, end))] == [1] * 5
    tapped = unit(0, 4, (), inputs=(1, 3), join=Merge(in_shapes=(SHAPE,) * 2, how="sum"))
    assert [stretch.number for stretch in collapse(chained(STEM, NEXT, NEXT, NEXT, tapped))] == ["1", "2", "3-4", "5"]
    assert [stretch.number for stretch in collapse(chained(STEM, NEXT, NEXT, NEXT))] == ["1", "2-4"]


def test_layers_inside_of_others_count_as_parametric():
    assert parametric_layers(evanet_like()) == 1 + 3
    pooled = Shape(2, 4, 4, 4)
    pool = Pool(in_shape=SHAPE, out_shape=pooled, kind="max", window=(1, 2, 2), stride=(1, 2, 2))
    units = [
        unit(0, 0, (conv(CLIP, 4),)),
        unit(0, 1, (pool,)),
        unit(0, 2, (), inputs=(0, 1), join=Fuse(in_shapes=(SHAPE, pooled))),
    ]
    assert parametric_layers(chained(*units)) == 0, "a fusion pools, and learns nothing over space"
