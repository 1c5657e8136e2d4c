"""A whole small space as a recorded table, with made-up results, so that nothing is trained."""

import numpy as np

from tvnjax.search.tabular.benchmark import Entry, Recorded, append_entries, write_header
from tvnjax.search.tabular.read import read_table
from tvnjax.spaces.tvn.enumerating import enumerate_space
from tvnjax.spaces.tvn.lowering import lower
from tvnjax.spaces.tvn.relaxed import OperatorChoices
from tvnjax.spaces.tvn.search_space import search_space
from tvnjax.spaces.tvn.shapes import BlockShapes, ShapeChoices, ShapeSpace

PARTS = (1 / 9, 1 / 3, 1.0)
SPACE = search_space(
    ShapeSpace(
        ShapeChoices(image_size=(8, 16), num_frames=(2, 4), blocks=(BlockShapes(filters=(8,)), BlockShapes())), 8
    ),
    OperatorChoices(
        spatial_type=("std", "depth"),
        spatial_kernel=(3,),
        temporal_type=("1d",),
        temporal_kernel=(1, 3),
        width=(0.5, 1.0),
        expand=(1,),
        squeeze=(0.0,),
        context_gate=(False,),
        skip=(False,),
    ),
)


def quality(genotype):
    """Between 0 and 1: larger, longer and temporal networks are better."""
    good = [genotype.image_size == 16, genotype.num_frames == 4]
    good += [block.temporal_kernel == 3 for block in genotype.blocks]
    good += [block.spatial_type == "std" for block in genotype.blocks]
    return 0.2 + 0.7 * sum(good) / len(good)


def make_table(path, *, noise=0.02, inherited_noise=None, seeds=(0, 1), count=None):
    """Writes and reads a table; ``inherited_noise`` adds scores with inherited weights."""
    rng = np.random.default_rng(0)
    write_header(path, "made up", SPACE, classes=4, inherit_seconds=0.1, supernet_seconds=60.0)
    entries = []
    for genotype in enumerate_space(SPACE)[:count]:
        runs = []
        for seed in seeds:
            top1 = quality(genotype) + rng.normal(0, noise)
            curve = tuple((part, top1 * part**0.3, min(1.0, top1 + 0.2)) for part in PARTS)
            runs.append(Recorded(seed=seed, curve=curve, seconds=9.0, compile_seconds=3.0, test_top1=top1 - 0.05))
        inherited = None
        if inherited_noise is not None:
            inherited = (quality(genotype) + rng.normal(0, inherited_noise), 0.5)
        entry = Entry(
            genotype=genotype,
            latency_ms=0.1 + lower(genotype, 4).macs / 1e6,
            check_seconds=2.0,
            check_compile_seconds=1.5,
            runs=tuple(runs),
            inherited=inherited,
        )
        entries.append(entry)
    append_entries(path, entries)
    return read_table(path)
