"""``tvnjax measure``."""

import dataclasses
from pathlib import Path
from typing import Annotated, Any, Literal

import tyro
from rich.table import Table

from tvnjax.cli.console import PlainConsole
from tvnjax.cli.machine import print_csv, print_json
from tvnjax.cli.options import parse_command
from tvnjax.cli.output import OutputOptions, chosen_format
from tvnjax.cli.timing import per_second
from tvnjax.core.errors import InvalidInputError
from tvnjax.core.printable import NAME, printable
from tvnjax.graph import HeadKind
from tvnjax.latency.runtimes import RuntimeName


@dataclasses.dataclass(frozen=True, kw_only=True)
class MeasureOptions(OutputOptions):
    """Compiles whole networks and times a call of each, all in turns."""

    genotypes: Annotated[tuple[Path, ...], tyro.conf.Positional]
    """Files of genotypes, as a run leaves them in genotypes/, or names ('tvnjax zoo' lists them)."""
    runtime: RuntimeName = "xla"
    threads: int | None = None
    """Default: 1 for LiteRT and ONNX Runtime; for XLA all cores of the process."""
    device: str | None = None
    """Of XLA: cpu, gpu, tpu. Default: JAX's first."""
    latency_batch: int = 1
    """Clips of a timed call, of XLA; milliseconds are of the call, clips/s of all its clips."""
    classes: int = 10
    """Of the networks."""
    head: HeadKind = "mean"
    """How a clip's scores are pooled."""
    repeats: int = 100
    """Timed calls of each, and more where the fastest one stays alone."""
    format: Literal["table", "json", "csv"] = "table"

    def __post_init__(self) -> None:
        if not self.genotypes:
            raise InvalidInputError("measure names at least one genotype's file; got none")
        if self.latency_batch < 1:
            raise InvalidInputError(f"latency_batch is 1 or above; got {self.latency_batch}")
        if self.classes < 2 or self.repeats < 30:
            raise InvalidInputError(
                f"classes is 2 or above and repeats 30 or above; got {self.classes} and {self.repeats}"
            )


def measure_command(argv: list[str]) -> int:
    options = parse_command(MeasureOptions, argv, prog="tvnjax measure", flags=True)
    form = chosen_format(options)
    from tvnjax.core.environment import environment, use_compilation_cache
    from tvnjax.graph import COUNTING_RULE
    from tvnjax.latency.measure import latency_rule, measure_networks
    from tvnjax.latency.runtimes import load_runtime
    from tvnjax.latency.timer import Timer
    from tvnjax.zoo.resolve import find_network

    use_compilation_cache()
    runtime = load_runtime(options.runtime, options.threads, options.device, options.latency_batch)
    entries = {str(path): find_network(str(path)) for path in options.genotypes}
    networks = {
        name: entry.network(options.classes, head=options.head if entry.genotype is not None else None)
        for name, entry in entries.items()
    }
    rows = measure_networks(networks, runtime, Timer(repeats=options.repeats))
    rules = {"latency": latency_rule(options.latency_batch), "counting": COUNTING_RULE}
    where = environment() | runtime.description
    if clocks := runtime.conditions:
        where["clocks"] = clocks
    if form == "json":
        print_json({"networks": rows, "rules": rules, "environment": where})
    elif form == "csv":
        print_csv([row | {key: where[key] for key in ("runtime", "device", "threads")} for row in rows])
    else:
        _print_table(rows, where, rules, options)
    return 0


def _print_table(
    rows: list[dict[str, Any]], where: dict[str, Any], rules: dict[str, str], options: MeasureOptions
) -> None:
    threads = f"{where['threads']} thread{'s' * (where['threads'] > 1)}"
    title = f"{where['runtime']} {where['runtime_version']}, {where['processor']}, {threads}"
    table = Table("genotype", title=title)
    for column in ("ms", "clips/s", "median", "IQR", "calls", "MiB", "params", "multiply-adds"):
        table.add_column(column, no_wrap=True)
    for row in rows:
        table.add_row(
            printable(row["name"], NAME),
            f"{row['latency_ms']:.3g}",
            per_second(row["clips_per_s"]),
            f"{row['median_ms']:.3g}",
            f"{row['iqr_ms']:.2g}",
            f"{row['repeats']}",
            f"{row['allocated_mb'] or row['memory_mb']:.3g}",
            f"{row['params']:,}",
            f"{row['macs']:,}",
        )
    console = PlainConsole()
    # As wide as it needs to be: a shortened number is none.
    console.width = max(console.width, console.measure(table, options=console.options.update(width=1000)).maximum)
    console.print(table)
    allocated = rows[0]["allocated_mb"] is not None
    memory = "MiB: what the compiled program allocates" if allocated else "MiB: counted, weights and largest layer"
    options.remark(f"ms: {rules['latency']}. {memory}. {rules['counting']}.")
