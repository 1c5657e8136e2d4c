"""The log of a made-up gradient search over shape genes, in the form that the real one writes."""

from typing import Any

import numpy as np

from tvnjax.spaces.tvn.genotype import Genotype
from tvnjax.spaces.tvn.relaxation.diagnostics import describe, marginals, shape_marginals
from tvnjax.spaces.tvn.relaxed import GENES, OperatorChoices, RelaxedBlock, relax_plan
from tvnjax.spaces.tvn.search_space import space_at_plan
from tvnjax.spaces.tvn.shapes import BlockShapes, ShapeChoices, ShapeKey, ShapeSpace

BUDGET_MS = 6.0
STEPS, WARMUP = 600, 120


def make_shapes(blocks: int = 3) -> ShapeSpace:
    """Shape genes that are searched, all of them in the first block."""
    first = BlockShapes(spatial_stride=(1, 2, 4), temporal_stride=(1, 2), repeats=(1, 2), filters=(16, 32))
    later = (BlockShapes(spatial_stride=(1, 2), filters=(24, 48)),) * (blocks - 1)
    lengths = (blocks - 1, blocks) if blocks > 1 else (1,)
    choices = ShapeChoices(
        image_size=(16, 32, 64),
        num_frames=(1, 4, 8),
        frame_stride=(1, 2),
        num_blocks=lengths,
        blocks=(first, *later),
    )
    return ShapeSpace(choices, clip_frames=24)


def draw_likely(shapes: ShapeSpace, collapsed: bool, rng: np.random.Generator) -> Genotype:
    """A network of some plan with several frames, of a gradient search that did or did not collapse."""
    weights = shapes.uniform() | {ShapeKey("num_frames"): np.array([0.0, 0.5, 0.5])}
    operators = OperatorChoices(
        spatial_type=("avgpool", "maxpool") if collapsed else ("std", "depth"),
        temporal_type=("avgpool",) if collapsed else ("1d", "avgpool"),
        temporal_kernel=(3,),
    )
    return space_at_plan(shapes.sample(weights, rng), operators).sample(rng)


def gradient_events(
    where: dict[str, Any], shapes: ShapeSpace, chosen: Genotype, total: float, rng: np.random.Generator
) -> list[dict[str, Any]]:
    """The log of a gradient search that ends at a network: plans, steps, marginals, ledger."""
    uniform = shapes.uniform()
    log: list[dict[str, Any]] = [
        {"event": "plan", **where, "plan": str(shapes.sample(uniform, rng)), "members": 3, "charged_s": 3.0 * index}
        for index in range(9)
    ]
    relaxed = relax_plan(shapes.largest(), OperatorChoices()).blocks
    final = _final_shapes(shapes, chosen)
    noise = [{gene: rng.normal(0, 0.6, len(block.candidates(gene))) for gene in GENES} for block in relaxed]
    wobble = {key: rng.normal(0, 0.5, len(p)) for key, p in uniform.items()}
    for step in range(0, STEPS + 1, 10):
        done = max(step - WARMUP, 0) / (STEPS - WARMUP)
        genes = [
            _weights(block, bumps, done, index, chosen) for index, (block, bumps) in enumerate(zip(relaxed, noise))
        ]
        policy = {
            key: _softmax(done * (wobble[key] + 3 * final.get(key, np.zeros(len(p))))) for key, p in uniform.items()
        }
        expected_ms = 9.0 - 3.2 * float(np.sqrt(done)) + float(rng.normal(0, 0.05))
        multiplier = 0.4 * done * float(np.exp(-1.2 * done))
        log.append(
            {
                "event": "search_step",
                **where,
                "step": step,
                "steps": STEPS,
                "phase": "warmup" if step < WARMUP else "search",
                "loss": 1.8 - 0.9 * step / STEPS + float(rng.normal(0, 0.05)),
                "val_loss": None if step % 50 else 1.85 - 0.75 * step / STEPS + float(rng.normal(0, 0.03)),
                "expected_ms": expected_ms,
                "budget_ms": BUDGET_MS,
                "multiplier": multiplier,
                "temperature": 0.1**done,
                "charged_s": total * 0.9 * step / STEPS,
                "costs": {
                    "ms": {"part": expected_ms / BUDGET_MS, "multiplier": multiplier},
                    "params": {"part": 0.8 - 0.3 * done, "multiplier": 0.0},
                    "memory_mb": {"part": 1.1 - 0.2 * done, "multiplier": 0.15 * done * (1 - done)},
                },
                **describe(relaxed, genes, policy),
            }
        )
        if step % 20 == 0:
            entry = {"blocks": marginals(relaxed, genes), "shapes": shape_marginals(shapes, policy)}
            log.append({"event": "marginals", **where, "step": step, **entry})
    rows = [
        {
            "stage": "soft",
            "top1": 0.612,
            "latency_ms": 5.83,
            "note": "expected ms; plan 32 px, 8 frames 2 apart, blocks 32/2x2 48/2",
        },
        {"stage": "one-hot", "top1": 0.311, "latency_ms": 5.71, "note": None},
        {"stage": "recalibrated", "top1": 0.542, "latency_ms": 5.71, "note": "batch statistics of 20 batches"},
        {"stage": "fine-tuned", "top1": 0.598, "latency_ms": 5.71, "note": None},
        {"stage": "from scratch", "top1": 0.641, "latency_ms": 5.71, "note": "short training"},
    ]
    return [*log, {"event": "ledger", **where, "rows": rows}]


def _weights(
    block: RelaxedBlock, bumps: dict[str, np.ndarray], done: float, index: int, chosen: Genotype
) -> dict[str, np.ndarray]:
    """Probabilities that tend to what the network has, where it has such a block."""
    target: dict[str, int] = {}
    if index < len(chosen.blocks):
        genes = chosen.blocks[index]
        values = {
            "spatial": ("identity", 1) if genes.spatial_kernel == 1 else (genes.spatial_type, genes.spatial_kernel),
            "temporal": ("identity", 1) if genes.temporal_kernel == 1 else (genes.temporal_type, genes.temporal_kernel),
        }
        for gene in GENES:
            value = values.get(gene, getattr(genes, gene, None))
            if value in block.candidates(gene):
                target[gene] = block.candidates(gene).index(value)
    weights = {}
    for gene in GENES:
        logits = done * bumps[gene]
        if gene in target:
            logits[target[gene]] += 4 * done
        weights[gene] = _softmax(logits)
    return weights


def _final_shapes(shapes: ShapeSpace, chosen: Genotype) -> dict[ShapeKey, np.ndarray]:
    """Ones at the values that the network has."""
    found = {}
    for key in shapes.searched:
        genes: Any = chosen if key.block is None else dict(enumerate(chosen.blocks)).get(key.block)
        value = len(chosen.blocks) if key.gene == "num_blocks" else getattr(genes, key.gene, None)
        found[key] = (np.array(shapes.values(key)) == value).astype(float)
    return found


def _softmax(logits: np.ndarray) -> np.ndarray:
    return np.exp(logits) / np.exp(logits).sum()
