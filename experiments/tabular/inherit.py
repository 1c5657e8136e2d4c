"""Do a supernet's weights rank networks as their own trainings do? Scores every network of the recorded table.

    python -m experiments.tabular.inherit                     # adds the scores to the table and writes inherited.json
    python -m experiments.tabular.inherit --steps 300 1000 3000 --seeds 0 1     # rank correlations alone, for each

One supernet is trained on single paths drawn uniformly, as for ``random_weight_sharing``; every network of the table is
then scored on the validation clips with the weights it inherits, trained for it alone for a few steps or none, and
batch statistics of its own. Kendall's tau is given against the mean of the table's two trainings, over all networks and
over the best 20 % (of all, and of those within the table's median latency), beside how well those two trainings agree
with one another: no score can be asked to agree better with one of them. Of several seeds the mean of a network's
scores is correlated as well.
"""

import argparse
import dataclasses
import statistics
import time
from pathlib import Path
from typing import Any

from experiments.tabular.problems import FOLDER, PROBLEMS, table_of
from tvnjax.cli.console import ConsoleMonitor
from tvnjax.core.environment import environment, use_compilation_cache
from tvnjax.core.monitor import Monitor
from tvnjax.core.run_dir import write_json
from tvnjax.report.comparing.statistics import gene_correlation, rank_correlation
from tvnjax.running.problem import prepare_problem
from tvnjax.search.gradient.config import DifferentiableConfig
from tvnjax.search.shared_weights import SharedWeights
from tvnjax.search.tabular.benchmark import Entry, Table, append_entries, write_header
from tvnjax.search.tabular.read import read_table
from tvnjax.spaces.tvn.genotype import Genotype
from tvnjax.spaces.tvn.shapes import ShapeSpace
from tvnjax.trainers.trainer import Score

SEARCH = DifferentiableConfig(steps=3000, batch_size=32, learning_rate=1e-2)
FINE_TUNE_STEPS = 60
"""Of each network for itself; a whole training of the table's has 135."""


def train_shared(
    name: str, steps: int, rate: float, seed: int, fine_tune_steps: int, monitor: Monitor
) -> SharedWeights:
    """Every plan of a table's space has a program."""
    config = PROBLEMS[name].config
    plans = ShapeSpace(config.shapes).assignments
    search = dataclasses.replace(SEARCH, steps=steps, learning_rate=rate, working_set=plans)
    config = dataclasses.replace(config, seed=seed, search=search)
    problem = prepare_problem(config, monitor)
    return SharedWeights(
        config.search,
        problem.relaxation,
        problem.space,
        problem.num_classes,
        problem.search_data(monitor),
        seed,
        monitor,
        fine_tune_steps=fine_tune_steps,
    )


def score(
    table: Table, shared: SharedWeights, fine_tune_steps: int, monitor: Monitor
) -> tuple[dict[str, Score], float]:
    """The score of every network, and the seconds of a score."""
    scores, took = {}, []
    for number, entry in enumerate(table.entries.values()):
        if number % 20 == 0:
            monitor.progress(f"scoring behind {fine_tune_steps} steps", number, len(table.entries))
        start = time.monotonic()
        scores[entry.id] = shared.score(entry.genotype, fine_tune_steps=fine_tune_steps)
        took.append(time.monotonic() - start)
    # The median: the first of each plan compiles.
    return scores, statistics.median(took)


def mean_score(scores: list[Score]) -> Score:
    """Means over scores on the same clips."""
    top1, top5, loss = (statistics.fmean(getattr(s, name) for s in scores) for name in ("top1", "top5", "loss"))
    return Score(top1=top1, top5=top5, loss=loss, clips=scores[0].clips)


def correlate(entries: list[Entry], scores: dict[str, Score]) -> dict[str, Any]:
    """Rank correlations of inherited top-1 and of inherited loss, with what two trainings have among themselves."""
    truth = [entry.top1() or 0.0 for entry in entries]
    first, second = ([entry.runs[i].curve[-1][1] for entry in entries] for i in (0, 1))
    inherited = [scores[entry.id].top1 for entry in entries]
    ours, ceiling = rank_correlation(inherited, truth), rank_correlation(first, second)
    by_loss = rank_correlation([-scores[entry.id].loss for entry in entries], truth)
    best = max(entries, key=lambda entry: scores[entry.id].fitness)
    return {
        "networks": len(entries),
        "tau": ours.tau,
        "top_tau": ours.top_tau,
        "tau_by_loss": by_loss.tau,
        "top_tau_by_loss": by_loss.top_tau,
        "ceiling_tau": ceiling.tau,
        "ceiling_top_tau": ceiling.top_tau,
        "inherited_top1_mean": statistics.fmean(inherited),
        "trained_top1_of_best_inherited": best.top1(),
        "trained_top1_of_best": max(truth),
        "genes": {
            gene: {"agreement": agreement, "worth": worth}
            for gene, (agreement, worth, _) in gene_correlation(list(map(genes, entries)), inherited, truth).items()
        },
    }


def genes(entry: Entry) -> dict[str, Any]:
    """What varies between the table's networks."""
    genotype: Genotype = entry.genotype
    row: dict[str, Any] = {"image_size": genotype.image_size, "num_frames": genotype.num_frames}
    for index, block in enumerate(genotype.blocks):
        row |= {
            f"block {index} {gene}": getattr(block, gene) for gene in ("spatial_type", "temporal_kernel", "filters")
        }
    return row


def add_to(path: Path, table: Table, scores: dict[str, Score], shared: SharedWeights, seconds: float) -> None:
    """Writes the table anew with the scores, so that strategies with shared weights can be replayed."""
    facts = {key: value for key, value in table.header.items() if key not in ("format", "table", "space")}
    facts |= {"supernet_seconds": shared.seconds, "inherit_seconds": seconds}
    new = path.with_suffix(".new")
    write_header(new, table.name, table.space, **facts)
    found = {entry.id: (scores[entry.id].top1, scores[entry.id].top5) for entry in table.entries.values()}
    append_entries(new, [dataclasses.replace(e, inherited=found[e.id]) for e in table.entries.values()])
    new.replace(path)


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--problem", choices=PROBLEMS, default=next(iter(PROBLEMS)))
    parser.add_argument("--table", type=Path, help="default: the problem's")
    parser.add_argument("--json", type=Path, help="where the correlations go; default: beside the table")
    parser.add_argument("--steps", type=int, nargs="+", default=[SEARCH.steps])
    parser.add_argument("--learning-rate", type=float, default=SEARCH.learning_rate)
    parser.add_argument("--fine-tune-steps", type=int, nargs="+", default=[FINE_TUNE_STEPS])
    parser.add_argument("--seeds", type=int, nargs="+", default=[0])
    args = parser.parse_args()
    use_compilation_cache()
    first = args.problem == next(iter(PROBLEMS))
    path, out = args.table or table_of(args.problem), "inherited" if first else f"{args.problem}_inherited"
    args.json = args.json or FOLDER / f"{out}.json"
    table, rows = read_table(path), []
    alone = len(args.steps) == len(args.seeds) == len(args.fine_tune_steps) == 1
    trained = [entry for entry in table.entries.values() if all(not run.failed for run in entry.runs)]
    budget_ms = statistics.median(table.latencies())
    feasible = [entry for entry in trained if entry.latency_ms is not None and entry.latency_ms <= budget_ms]
    options = f"--steps {' '.join(map(str, args.steps))} --learning-rate {args.learning_rate:g} "
    options += f"--fine-tune-steps {' '.join(map(str, args.fine_tune_steps))} "
    options += f"--seeds {' '.join(map(str, args.seeds))}"
    options += "" if first else f" --problem {args.problem}"
    command = f"python -m experiments.tabular.inherit {options}"

    def add(found: dict[str, Any], scores: dict[str, Score]) -> None:
        for which, entries in {"all": trained, "feasible": feasible}.items():
            rows.append(found | {"of": which} | correlate(entries, scores))
            print({key: value for key, value in rows[-1].items() if key != "genes"}, flush=True)
        write_json(args.json, {"command": command, "supernets": rows, "environment": environment()})

    with ConsoleMonitor() as monitor:
        for steps in args.steps:
            by_tuning: dict[int, list[dict[str, Score]]] = {tuning: [] for tuning in args.fine_tune_steps}
            how = {"steps": steps, "learning_rate": args.learning_rate}
            for seed in args.seeds:
                shared = train_shared(args.problem, steps, args.learning_rate, seed, max(args.fine_tune_steps), monitor)
                for tuning, by_seed in by_tuning.items():
                    scores, seconds = score(table, shared, tuning, monitor)
                    by_seed.append(scores)
                    took = {"supernet_seconds": shared.seconds, "score_seconds": seconds}
                    add(how | {"fine_tune_steps": tuning, "seed": seed} | took, scores)
                    if alone:
                        add_to(path, table, scores, shared, seconds)
            for tuning, by_seed in by_tuning.items():
                if len(by_seed) > 1:
                    means = {name: mean_score([scores[name] for scores in by_seed]) for name in by_seed[0]}
                    add(how | {"fine_tune_steps": tuning, "seed": "mean"}, means)


if __name__ == "__main__":
    main()
