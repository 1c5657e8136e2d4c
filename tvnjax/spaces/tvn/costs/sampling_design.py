"""Which networks a profile measures: those that meet every value of every gene, and those a search would choose."""

from collections.abc import Mapping

import numpy as np

from tvnjax.spaces.tvn.genotype import Genotype
from tvnjax.spaces.tvn.relaxed import GENES, OperatorChoices, relax_plan
from tvnjax.spaces.tvn.shapes import BLOCK_SHAPE_GENES, BlockPlan, Plan, ShapeKey, ShapeSpace


def covering_genotypes(
    shapes: ShapeSpace, operators: OperatorChoices, count: int, rng: np.random.Generator
) -> list[Genotype]:
    """Networks in which every value of every gene, of shapes and operators, occurs about equally often (a Latin
    hypercube, over the candidates each plan can have)."""

    def column(size: int) -> np.ndarray:
        return rng.permutation(np.arange(count) % size)

    sizes = {key: column(len(shapes.values(key))) for key in shapes.keys}
    orders = [{gene: rng.permutation(count) for gene in GENES} for _ in shapes.choices.blocks]
    genotypes = []
    for row in range(count):
        plan = relax_plan(_plan(shapes, {key: int(values[row]) for key, values in sizes.items()}), operators)
        chosen = []
        for block, genes in zip(plan.blocks, orders):
            indices = {}
            for gene in GENES:
                legal = np.flatnonzero(block.legal(gene))
                index = int(legal[genes[gene][row] % len(legal)]) if gene in block.active else block.default(gene)
                indices[gene] = index
            chosen.append(indices)
        genotypes.append(plan.decode(tuple(chosen)))
    return genotypes


def _plan(shapes: ShapeSpace, indices: Mapping[ShapeKey, int]) -> Plan:
    """The plan of given values; the longest frame stride that fits where the one asked for does not."""

    def value(gene: str, block: int | None = None) -> int:
        key = ShapeKey(gene, block)
        return shapes.values(key)[indices[key]]

    frames, stride = value("num_frames"), value("frame_stride")
    fitting = [s for s, fits in zip(shapes.choices.frame_stride, shapes.legal_strides(frames)) if fits]
    return shapes.canonical(
        Plan(
            image_size=value("image_size"),
            num_frames=frames,
            frame_stride=stride if stride in fitting else max(fitting),
            blocks=tuple(
                BlockPlan(**{gene: value(gene, index) for gene in BLOCK_SHAPE_GENES})
                for index in range(value("num_blocks"))
            ),
        )
    )
