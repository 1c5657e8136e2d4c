"""Operators of one's own as values of genes: names, files, equality, sampling and mutation, and what is refused."""

import copy
import dataclasses
import json

import numpy as np
import pytest

from tests.own_layers import Blur, Every, Shift, Shuffled
from tvnjax.core.errors import InvalidInputError
from tvnjax.core.to_json import jsonable
from tvnjax.graph import Conv, Layer
from tvnjax.running.config import PRESETS, RunConfig
from tvnjax.running.config_values import changed, from_plain
from tvnjax.spaces.registry import UnmadeSpaceError
from tvnjax.spaces.tvn.canonical import canonicalize
from tvnjax.spaces.tvn.genotype import Block, Genotype, genotype_from_json
from tvnjax.spaces.tvn.lowering import lower
from tvnjax.spaces.tvn.making import tvn_space
from tvnjax.spaces.tvn.own_operators import OwnOperator
from tvnjax.spaces.tvn.reading import space_from_json
from tvnjax.spaces.tvn.relaxed import OperatorChoices
from tvnjax.spaces.tvn.shapes import BlockShapes, ShapeChoices


def network(**genes):
    return Genotype(image_size=8, num_frames=4, blocks=(Block(filters=6, spatial_kernel=3), Block(filters=6, **genes)))


@pytest.mark.parametrize(
    ("given", "name"),
    [
        (Shift, "Shift"),
        (Shift(), "Shift"),
        (Shift(fold=4), "Shift(fold=4)"),
        (Blur(kernel=7, stride=2), "Blur"),
        ("Shift(fold=4)", "Shift(fold=4)"),
        (Shuffled(groups=3), "Shuffled(groups=3)"),
    ],
)
def test_the_gene_holds_a_name_that_finds_its_layer_again(given, name):
    block = Block(temporal_type=given)
    assert block.temporal_type == name and type(block.temporal_type) is OwnOperator
    written = json.loads(json.dumps(network(temporal_type=given, temporal_kernel=3).to_json()))
    assert written["blocks"][1]["temporal_type"] == name
    read = genotype_from_json(written)
    assert read == network(temporal_type=given, temporal_kernel=3)
    assert read.blocks[1].temporal_type.layer == block.temporal_type.layer or name == "Blur"
    assert copy.deepcopy(block) == block and copy.deepcopy(block).temporal_type.layer == block.temporal_type.layer


def test_it_is_lowered_to_the_layer_where_it_stands():
    layers = lower(network(temporal_type=Shift(fold=3), temporal_kernel=3), 2).units[1].layers
    assert layers[0] == Shift(fold=3, in_shape=(4, 8, 8, 6))
    blurred = lower(network(spatial_type=Blur, spatial_kernel=5, spatial_stride=2), 2).units[1]
    assert blurred.layers[0] == Blur(kernel=5, stride=2, in_shape=(4, 8, 8, 6)) and blurred.out_shape == (4, 4, 4, 6)
    late = lower(network(temporal_type=Every, temporal_kernel=2, temporal_stride=8), 2).units[1]
    assert late.layers[0] == Every(stride=4, in_shape=(4, 8, 8, 6)) and late.out_shape.t == 1


def test_equal_networks_have_one_id_and_others_another():
    def identity(**genes):
        return network(**genes).id

    shift = identity(temporal_type=Shift, temporal_kernel=2)
    assert (
        shift == identity(temporal_type=Shift, temporal_kernel=5) == identity(temporal_type=Shift(), temporal_kernel=3)
    )
    # Without a field stride it strides as little as the identity does.
    assert shift == identity(temporal_type=Shift, temporal_kernel=3, temporal_stride=2)
    assert identity(temporal_type=Shift) == identity(temporal_type="maxpool") == identity()
    others = [Shift(fold=4), Every, "1d"]
    assert len({shift, identity(), *(identity(temporal_type=kind, temporal_kernel=3) for kind in others)}) == 5
    blurs = {identity(spatial_type=Blur, spatial_kernel=k, spatial_stride=s) for k in (2, 3) for s in (1, 2)}
    assert len(blurs) == 4
    canonical = canonicalize(network(temporal_type=Shift, temporal_kernel=5, temporal_stride=2))
    assert canonical.blocks[1].temporal_kernel == 2 and canonical.blocks[1].temporal_stride == 1
    assert canonicalize(canonical) == canonical


SHAPES = ShapeChoices(
    image_size=(8,),
    num_frames=(2, 4),
    num_blocks=(2,),
    blocks=(
        BlockShapes(spatial_stride=(2,), temporal_stride=(1,), filters=(8,)),
        BlockShapes(spatial_stride=(1, 2), temporal_stride=(2,), filters=(8,)),
    ),
)
OPERATORS = OperatorChoices(spatial_type=("std", Shuffled, Blur), temporal_type=("1d", Shift, Every))


def test_samples_and_mutants_reach_every_operator_that_can_stand_there():
    space, rng = tvn_space(SHAPES, OPERATORS, 4), np.random.default_rng(0)
    assert space.blocks[0].spatial_type == ("std", "Blur") and space.blocks[1].temporal_type == ("1d", "Every")
    genotype, met = space.sample(rng), set()
    for _ in range(300):
        mutant = space.mutate(genotype, rng)
        assert mutant.id != genotype.id and space.contains(mutant)
        genotype = mutant
        met |= {(i, block.spatial_type, block.temporal_type) for i, block in enumerate(genotype.blocks)}
    assert {(1, "Shuffled", "Every"), (0, "Blur", "Shift"), (1, "Blur", "1d")} <= met
    assert space_from_json(json.loads(json.dumps(space.to_json())), "here") == space


def test_a_configuration_takes_layers_and_is_read_back_from_its_file():
    config = changed(PRESETS["quick"][1], {"operators": {"temporal_type": ("1d", "maxpool", Shift, Shift(fold=4))}})
    assert config.operators.temporal_type == ("1d", "maxpool", "Shift", "Shift(fold=4)")
    read = from_plain(RunConfig, json.loads(json.dumps(jsonable(config))), "config.json")
    assert read == config and read.operators.temporal_type[3].layer == Shift(fold=4)


class Widening(Shift):
    @property
    def out_shape(self):
        return self.in_shape._replace(c=self.in_shape.c + 1)


@dataclasses.dataclass(frozen=True, kw_only=True)
class Needing(Layer):
    size: int


@dataclasses.dataclass(frozen=True, kw_only=True)
class Holding(Layer):
    weights: tuple = (np.ones(2),)
    more: list = dataclasses.field(default_factory=lambda: [object()])


@pytest.mark.parametrize(
    ("given", "words"),
    [
        (Needing, "made without arguments; Needing.*give an instance"),
        (Holding, "numbers, texts or tuples of them.*Holding.more"),
        (Conv(in_shape=(1, 1, 1, 1), out_shape=(1, 1, 1, 1)), "a class of one's own; got Conv"),
        ("Nowhere(fold=1)", "'Nowhere\\(fold=1\\)' is of no class of this process: from Python import"),
        ("maxpol", "did you mean 'maxpool'"),
        ("1d()", "temporal_type is one of 1d"),
        ("Shift(__import__('os'))", "temporal_type is one of 1d"),
        (3, "temporal_type is one of 1d"),
    ],
)
def test_what_is_no_operator_is_refused(given, words):
    with pytest.raises(InvalidInputError, match=words):
        Block(temporal_type=given)


def test_a_network_whose_class_is_missing_is_unmade_and_not_wrong():
    with pytest.raises(UnmadeSpaceError):
        genotype_from_json(network().to_json() | {"blocks": [{"temporal_type": "Missing", "temporal_kernel": 3}]})


def test_a_layer_that_changes_the_width_is_refused_with_both_shapes():
    with pytest.raises(InvalidInputError, match=r"Widening makes \(4, 8, 8, 7\) of \(4, 8, 8, 6\), not \(4, 8, 8, 6\)"):
        lower(network(temporal_type=Widening, temporal_kernel=3), 2)


def test_two_classes_of_one_name_are_not_told_apart_by_it():
    def define():
        class Twice(Shift):
            pass

        return Twice

    def define_another():
        class Twice(Every):
            pass

        return Twice

    first = define()
    assert Block(temporal_type="Twice").temporal_type.layer == first()
    second = define_another()
    with pytest.raises(InvalidInputError, match=r"define.<locals>.Twice and .*Twice have one name"):
        Block(temporal_type="Twice")
    assert Block(temporal_type=second).temporal_type.layer == second()


def test_choices_that_could_never_be_taken_are_refused():
    with pytest.raises(InvalidInputError, match="temporal_kernel \\(1,\\) leaves Shift out"):
        OperatorChoices(temporal_type=("1d", Shift), temporal_kernel=(1,))
    always = ShapeChoices(image_size=(8,), num_frames=(2,), num_blocks=(1,), blocks=(BlockShapes(spatial_stride=(2,)),))
    with pytest.raises(InvalidInputError, match=r"needs an operator that strides.*Shuffled"):
        tvn_space(always, OperatorChoices(spatial_type=(Shuffled,)), 2)
