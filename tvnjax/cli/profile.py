"""``tvnjax profile``."""

from rich.console import Console
from rich.table import Table

from tvnjax.cli.options import parse_preset


def profile_command(argv: list[str]) -> int:
    _, config = parse_preset("profile", argv)
    from tvnjax.console import ConsoleMonitor
    from tvnjax.core.environment import use_compilation_cache
    from tvnjax.pipeline import prepare_problem, profile_problem

    use_compilation_cache()
    with ConsoleMonitor() as monitor:
        profile = profile_problem(prepare_problem(config, monitor), monitor)
    quality = profile.fit.quality
    table = Table("what", "value", title="Latency on this device (one clip, XLA)")
    table.add_row("measured now, known before", f"{profile.measured}, {profile.reused}")
    table.add_row("seconds", f"{profile.seconds:.0f}")
    table.add_row("cheapest network", f"{profile.cheapest_ms:.3g} ms measured")
    table.add_row("dearest network", f"{profile.dearest_ms:.3g} ms measured (default budget: half of it)")
    table.add_row("prediction error of whole networks, cross-validated", f"{quality['mape']:.1%} on average")
    table.add_row("within 10 %", f"{quality['within_10pct']:.0%} of {quality['count']:.0f} networks")
    table.add_row("rank correlation (Kendall's tau)", f"{quality['kendall_tau']:.2f}")
    Console().print(table)
    return 0
