"""Writes run directories with made-up but plausible numbers, so that a report can be tested without a search."""

import dataclasses
import json
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import numpy as np

from tests.report.fabricated_search import BUDGET_MS, draw_likely, gradient_events, make_shapes
from tvnjax.graph import COUNTING_RULE
from tvnjax.graph.outline import parametric_layers
from tvnjax.spaces.tvn.canonical import genotype_id
from tvnjax.spaces.tvn.genotype import Genotype
from tvnjax.spaces.tvn.lowering import lower
from tvnjax.spaces.tvn.relaxed import OperatorChoices
from tvnjax.spaces.tvn.search_space import SearchSpace, space_at_plan
from tvnjax.spaces.tvn.search_space import search_space as whole_space
from tvnjax.spaces.tvn.shapes import BlockPlan, Plan, ShapeSpace

CLASS_NAMES = ("bounce", "drift left", "drift right", "grow", "shrink", "spin")
STRATEGIES = ("differentiable", "evolution", "random")
BUDGETS = {"ms": BUDGET_MS, "params": 400_000, "memory_mb": 24.0}
_SKILL = {"differentiable": 0.05, "hybrid": 0.06, "evolution": 0.02, "random": -0.02}
_NEW_FIELDS = {
    "search_step": ("entropy", "shape_entropy", "parameter_free", "costs"),
    "marginals": ("shapes",),
}


def make_plan(blocks: int = 3) -> Plan:
    plans = tuple(
        # Later blocks have next to nothing left to stride over.
        BlockPlan(filters=16 * (1 + index), repeats=1 + index % 2, spatial_stride=2 if index < 4 else 1)
        for index in range(blocks)
    )
    return Plan(image_size=64, num_frames=8, frame_stride=2, blocks=plans)


def search_space(blocks: int = 3) -> SearchSpace:
    return space_at_plan(make_plan(blocks), OperatorChoices())


def make_run(
    directory: Path,
    *,
    strategies: tuple[str, ...] = STRATEGIES,
    seeds: tuple[int, ...] = (0,),
    blocks: int = 3,
    candidates: int = 60,
    events: bool = True,
    collapsed: bool = False,
) -> Path:
    """Writes ``config.json``, ``results.json`` and ``events.jsonl``; the same arguments write the same files.

    Args:
        collapsed: the gradient search ends with pools and identities alone.
    """
    directory.mkdir(parents=True, exist_ok=True)
    rng = np.random.default_rng(7)
    shapes = make_shapes(blocks)
    space = whole_space(shapes, OperatorChoices())
    log: list[dict[str, Any]] = [_profile(space, rng)]
    results = []
    for name in strategies:
        for seed in seeds:
            result, more = _search(name, seed, shapes, space, candidates, collapsed, rng)
            results.append(result)
            log += more
    (directory / "config.json").write_text(json.dumps(_config(), indent=2), encoding="utf-8")
    (directory / "results.json").write_text(json.dumps(_results(results, shapes, space), indent=2), encoding="utf-8")
    if events:
        lines = (json.dumps({**entry, "elapsed": round(3.1 * index, 2)}) for index, entry in enumerate(log))
        (directory / "events.jsonl").write_text("\n".join(lines) + "\n", encoding="utf-8")
    return directory


def read_events(directory: Path, kind: str) -> list[dict[str, Any]]:
    """The events of one kind."""
    lines = (directory / "events.jsonl").read_text(encoding="utf-8").splitlines()
    return [entry for entry in map(json.loads, lines) if entry["event"] == kind]


def make_old(directory: Path) -> None:
    """Takes away what runs of before there were shape genes do not have."""
    path = directory / "events.jsonl"
    entries = [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]
    for entry in entries:
        for field in _NEW_FIELDS.get(entry["event"], ()):
            entry.pop(field, None)
    kept = [entry for entry in entries if entry["event"] not in ("plan", "derived")]
    path.write_text("".join(f"{json.dumps(entry)}\n" for entry in kept), encoding="utf-8")
    path = directory / "results.json"
    results = json.loads(path.read_text(encoding="utf-8"))
    del results["budget"]
    plan = {"image_size": 64, "num_frames": 8, "frame_stride": 2, "blocks": 3}
    results["space"] = {"log10_size": results["space"]["log10_size"], "plan": plan}
    for row in results["strategies"]:
        del row["memory_mb"]
    path.write_text(json.dumps(results), encoding="utf-8")


def edit_results(directory: Path, **changes: Any) -> dict[str, Any]:
    """Changes fields of the first strategy's result; returns the whole of ``results.json``."""
    path = directory / "results.json"
    results = json.loads(path.read_text(encoding="utf-8"))
    results["strategies"][0].update(changes)
    path.write_text(json.dumps(results), encoding="utf-8")
    return results


def keep_events(directory: Path, kept: Iterable[str]) -> None:
    """Leaves only the events of these kinds in the log."""
    path = directory / "events.jsonl"
    kinds = set(kept)
    lines = [line for line in path.read_text(encoding="utf-8").splitlines() if json.loads(line)["event"] in kinds]
    path.write_text("".join(f"{line}\n" for line in lines), encoding="utf-8")


def _latency(genotype: Genotype, rng: np.random.Generator) -> tuple[float, float]:
    """Predicted and measured milliseconds."""
    network = lower(genotype, len(CLASS_NAMES))
    # The same budget suits any number of blocks.
    scale = 3 / len(genotype.blocks)
    predicted = 0.6 + scale * (0.12 * sum(1 for _ in network.layers()) + network.macs / 1.1e7)
    return predicted, predicted * float(np.exp(rng.normal(0.02, 0.06)))


def _top1(genotype: Genotype, skill: float, rng: np.random.Generator) -> float:
    temporal = sum(block.temporal_kernel > 1 and block.temporal_type == "1d" for block in genotype.blocks)
    size = np.log10(lower(genotype, len(CLASS_NAMES)).macs)
    return float(np.clip(0.2 + 0.07 * temporal + 0.05 * (size - 5) + skill + rng.normal(0, 0.04), 0.12, 0.97))


def _profile(space: SearchSpace, rng: np.random.Generator) -> dict[str, Any]:
    points = []
    for _ in range(40):
        genotype = space.sample(rng)
        predicted, measured = _latency(genotype, rng)
        points.append(
            {"kind": "network", "key": genotype_id(genotype), "measured_ms": measured, "predicted_ms": predicted}
        )
    for _ in range(120):
        measured = float(np.exp(rng.normal(-1.2, 0.8)))
        predicted = measured * float(np.exp(rng.normal(0, 0.05)))
        points.append({"kind": "unit", "key": "unit", "measured_ms": measured, "predicted_ms": predicted})
    fit = {"mape": 0.052, "within_10pct": 0.9, "kendall_tau": 0.87, "bias": -0.018, "count": 40}
    return {"event": "profile", "measured": 131, "reused": 29, "took_s": 74.2, "fit": fit, "points": points}


def _search(
    name: str,
    seed: int,
    shapes: ShapeSpace,
    space: SearchSpace,
    candidates: int,
    collapsed: bool,
    rng: np.random.Generator,
) -> tuple[dict[str, Any], list[dict[str, Any]]]:
    where = {"strategy": name, "seed": seed}
    total = 410.0
    log: list[dict[str, Any]] = []
    best: tuple[float, Genotype, float, float] | None = None
    trained: list[Genotype] = []
    gradient = name == "differentiable"
    number = 8 if gradient else candidates
    for index in range(number):
        genotype = draw_likely(shapes, collapsed, rng) if gradient else space.sample(rng)
        predicted, measured = _latency(genotype, rng)
        feasible = measured <= BUDGET_MS
        top1 = _top1(genotype, _SKILL.get(name, 0) + (0.05 * index / number if name == "evolution" else 0), rng)
        top5 = min(1.0, top1 + 0.35)
        charged = total * (0.9 + 0.1 * index / number) if gradient else total * (index + 1) / number
        log.append(
            {
                "event": "candidate",
                **where,
                "charged_s": charged,
                "id": genotype_id(genotype),
                "genotype": genotype.to_json(),
                "predicted_ms": predicted,
                "latency_ms": measured,
                "feasible": feasible,
                "reason": None if feasible else f"{measured:.2f} ms measured, {BUDGET_MS} ms allowed",
                "top1": top1 if feasible else None,
                "top5": top5 if feasible else None,
                "fitness": top1 + top5 if feasible else None,
            }
        )
        trained += [genotype] if feasible else []
        if feasible and (best is None or top1 > best[0]):
            best = (top1, genotype, predicted, measured)
    assert best is not None, "no feasible candidate: draw more"
    top1, genotype, predicted, measured = best
    if gradient:
        log = gradient_events(where, shapes, genotype, total, rng) + log
        log += [
            {
                "event": "derived",
                "strategy": name,
                "id": genotype_id(finalist),
                "parametric": parametric_layers(lower(finalist, 2)),
            }
            for finalist in trained
        ]
    test = round((top1 + 0.14) * 360) / 360
    history = [
        {
            "step": step,
            "loss": 1.8 * float(np.exp(-step / 500)) + 0.3 + float(rng.normal(0, 0.03)),
            "val_top1": min(1.0, test * (1 - float(np.exp(-(step + 60) / 300)))) if step % 200 == 0 else None,
        }
        for step in range(0, 2001, 50)
    ]
    retrained = {"top1": test, "top5": min(1.0, test + 0.28), "latency_ms": measured}
    log.append({"event": "retrained", **where, "id": genotype_id(genotype), **retrained, "history": history})
    network = lower(genotype, len(CLASS_NAMES))
    return {
        "name": name,
        "seed": seed,
        **retrained,
        "latency_iqr_ms": 0.04 * measured,
        "predicted_ms": predicted,
        "budget_ms": BUDGET_MS,
        "params": network.params,
        "macs": network.macs,
        "memory_mb": network.params * 4 / 2**20 + 1.5,
        "seconds": total + float(rng.normal(0, 4)),
        "compile_seconds": 61.5 if gradient else 148.0,
        "retrain_seconds": 52.3,
        "evaluations": sum(entry.get("top1") is not None for entry in log if entry["event"] == "candidate"),
        "infeasible": sum(entry.get("feasible") is False for entry in log),
        "genotype_id": genotype_id(genotype),
        "genotype": genotype.to_json(),
    }, log


def _results(strategies: list[dict[str, Any]], shapes: ShapeSpace, space: SearchSpace) -> dict[str, Any]:
    return {
        "strategies": strategies,
        "reference": {"largest_ms": 14.31, "smallest_ms": 1.92, "budget_rule": "0.42 of the largest network's latency"},
        "counting_rule": COUNTING_RULE,
        "latency_gate": {
            "mape": 0.052,
            "within_10pct": 0.9,
            "kendall_tau": 0.87,
            "bias": -0.018,
            "count": 120,
            "flops_kendall_tau": 0.71,
            "selected": {"mape": 0.04, "within_10pct": 0.95, "kendall_tau": 0.6, "bias": 0.012, "count": 33},
            "passes": False,
            "failures": ["Kendall's tau 0.87, at least 0.90 asked"],
            "too_few": [],
        },
        "latency_rule": "one clip, float32, XLA on the CPU, median of 50 repeats after 10 to warm up",
        "data": {
            "name": "procedural motion",
            "class_names": list(CLASS_NAMES),
            "splits": {"train": 1440, "val": 360, "test": 360},
            "skipped": [{"path": "spin/clip_0192.mp4", "reason": "no frame could be decoded"}],
            "widened": 12,
            "held": 0,
            "majority_share": 0.1667,
        },
        "budget": BUDGETS,
        "space": {"log10_size": space.log10_size, "shapes": dataclasses.asdict(shapes.choices)},
        "environment": {"device": "cpu", "cores": 2, "jax": "0.10.2", "flax": "0.12.8", "python": "3.11.9"},
    }


def _config() -> dict[str, Any]:
    return {
        "command": "tvnjax search --data procedural --budget-share 0.42 --out runs/demo",
        "budget": {"share": 0.42, "seconds": 410},
        "search": {"steps": 600, "arch_warmup_steps": 120, "temperature": [5.0, 0.5]},
    }
