"""Writes run directories with made-up but plausible numbers, so that a report can be tested without a search."""

import json
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import numpy as np

from tvnjax.space.canonical import genotype_id
from tvnjax.space.genotype import Genotype
from tvnjax.space.lowering import lower
from tvnjax.space.network import COUNTING_RULE
from tvnjax.space.relaxed import GENES, IDENTITY, OperatorChoices, relax_plan
from tvnjax.space.search_space import SearchSpace, space_at_plan
from tvnjax.space.shapes import BlockPlan, Plan

CLASS_NAMES = ("bounce", "drift left", "drift right", "grow", "shrink", "spin")
STRATEGIES = ("differentiable", "evolution", "random")
BUDGET_MS = 6.0
_SKILL = {"differentiable": 0.05, "evolution": 0.02, "random": -0.02}


def make_plan(blocks: int = 3) -> Plan:
    plans = tuple(BlockPlan(filters=16 * (1 + index), repeats=1 + index % 2) for index in range(blocks))
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
) -> Path:
    """Writes ``config.json``, ``results.json`` and ``events.jsonl``; the same arguments write the same files."""
    directory.mkdir(parents=True, exist_ok=True)
    rng = np.random.default_rng(7)
    space = search_space(blocks)
    log: list[dict[str, Any]] = [_profile(space, rng)]
    results = []
    for name in strategies:
        for seed in seeds:
            result, more = _search(name, seed, space, candidates, rng)
            results.append(result)
            log += more
    (directory / "config.json").write_text(json.dumps(_config(), indent=2), encoding="utf-8")
    (directory / "results.json").write_text(json.dumps(_results(results, space), indent=2), encoding="utf-8")
    if events:
        lines = (json.dumps({**entry, "elapsed": round(3.1 * index, 2)}) for index, entry in enumerate(log))
        (directory / "events.jsonl").write_text("\n".join(lines) + "\n", encoding="utf-8")
    return directory


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
    name: str, seed: int, space: SearchSpace, candidates: int, rng: np.random.Generator
) -> tuple[dict[str, Any], list[dict[str, Any]]]:
    where = {"strategy": name, "seed": seed}
    total = 410.0
    log: list[dict[str, Any]] = []
    best: tuple[float, Genotype, float, float] | None = None
    gradient = name == "differentiable"
    number = 8 if gradient else candidates
    for index in range(number):
        genotype = space.sample(rng)
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
        if feasible and (best is None or top1 > best[0]):
            best = (top1, genotype, predicted, measured)
    assert best is not None, "no feasible candidate: draw more"
    top1, genotype, predicted, measured = best
    if gradient:
        log = _gradient_events(where, space, genotype, total, rng) + log
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
        "seconds": total + float(rng.normal(0, 4)),
        "compile_seconds": 61.5 if gradient else 148.0,
        "retrain_seconds": 52.3,
        "evaluations": sum(entry.get("top1") is not None for entry in log if entry["event"] == "candidate"),
        "infeasible": sum(entry.get("feasible") is False for entry in log),
        "genotype_id": genotype_id(genotype),
        "genotype": genotype.to_json(),
    }, log


def _gradient_events(
    where: dict[str, Any], space: SearchSpace, chosen: Genotype, total: float, rng: np.random.Generator
) -> list[dict[str, Any]]:
    log: list[dict[str, Any]] = []
    steps, warmup = 600, 120
    for step in range(0, steps + 1, 10):
        done = max(step - warmup, 0) / (steps - warmup)
        log.append(
            {
                "event": "search_step",
                **where,
                "step": step,
                "steps": steps,
                "phase": "warmup" if step < warmup else "search",
                "loss": 1.8 - 0.9 * step / steps + float(rng.normal(0, 0.05)),
                "val_loss": None if step % 50 else 1.85 - 0.75 * step / steps + float(rng.normal(0, 0.03)),
                "expected_ms": 9.0 - 3.2 * float(np.sqrt(done)) + float(rng.normal(0, 0.05)),
                "budget_ms": BUDGET_MS,
                "multiplier": 0.4 * done * float(np.exp(-1.2 * done)),
                "temperature": 5.0 * 0.1**done,
                "charged_s": total * 0.9 * step / steps,
            }
        )
    relaxed = relax_plan(make_plan(len(space.blocks)), OperatorChoices())
    noise = [{gene: rng.normal(0, 0.6, len(block.candidates(gene))) for gene in GENES} for block in relaxed.blocks]
    target = relaxed.encode(chosen)
    for step in range(0, steps + 1, 20):
        done = max(step - warmup, 0) / (steps - warmup)
        blocks = []
        for block, bumps, indices in zip(relaxed.blocks, noise, target):
            genes = {}
            for gene in GENES:
                logits = done * bumps[gene]
                logits[indices[gene]] += 4 * done
                shares = np.exp(logits) / np.exp(logits).sum()
                names = map(_candidate_name, block.candidates(gene))
                genes[gene] = dict(zip(names, map(float, shares)))
            blocks.append(genes)
        log.append({"event": "marginals", **where, "step": step, "blocks": blocks})
    rows = [
        {"stage": "soft", "top1": 0.612, "latency_ms": 5.83, "note": "the mixture, expected latency"},
        {"stage": "one-hot", "top1": 0.311, "latency_ms": 5.71, "note": None},
        {"stage": "recalibrated", "top1": 0.542, "latency_ms": 5.71, "note": "batch statistics of 20 batches"},
        {"stage": "fine-tuned", "top1": 0.598, "latency_ms": 5.71, "note": None},
        {"stage": "from scratch", "top1": 0.641, "latency_ms": 5.71, "note": "short training"},
    ]
    return [*log, {"event": "ledger", **where, "rows": rows}]


def _candidate_name(value: Any) -> str:
    if isinstance(value, tuple):
        return "identity" if value == IDENTITY else f"{value[0]} {value[1]}"
    if isinstance(value, bool):
        return "on" if value else "off"
    return "off" if value == 0 else str(value)


def _results(strategies: list[dict[str, Any]], space: SearchSpace) -> dict[str, Any]:
    return {
        "strategies": strategies,
        "reference": {"largest_ms": 14.31, "smallest_ms": 1.92, "budget_rule": "0.42 of the largest network's latency"},
        "counting_rule": COUNTING_RULE,
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
        "space": {
            "log10_size": space.log10_size,
            "plan": {"image_size": 64, "num_frames": 8, "frame_stride": 2, "blocks": len(space.blocks)},
        },
        "environment": {"device": "cpu", "cores": 2, "jax": "0.10.2", "flax": "0.12.8", "python": "3.11.9"},
    }


def _config() -> dict[str, Any]:
    return {
        "command": "tvnjax search --data procedural --budget-share 0.42 --out runs/demo",
        "budget": {"share": 0.42, "seconds": 410},
        "search": {"steps": 600, "arch_warmup_steps": 120, "temperature": [5.0, 0.5]},
    }
