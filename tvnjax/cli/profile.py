"""``tvnjax profile``."""

import dataclasses
from typing import Annotated, Any, Literal

import tyro
from rich.table import Table

from tvnjax.cli.machine import print_json
from tvnjax.cli.output import chosen_format
from tvnjax.cli.presets import HELP, PresetOptions, parse_preset, show_help, split_options
from tvnjax.core.errors import InvalidInputError
from tvnjax.running.config import RunConfig

DEFAULT_PRESET = "clips"


@dataclasses.dataclass(frozen=True, kw_only=True)
class OwnProfileOptions(PresetOptions):
    """What a profile is asked for besides the configuration."""

    verify: int = 0
    """Measure so many further random networks, which no model was fitted to, and let the gate rest on them. Default:
    it rests on the profile's own networks, each predicted by a model that had not seen it."""
    classes: int | None = None
    """Classes of the networks. Default: those of the data, or 10 where the preset names none."""
    format: Literal["table", "json"] = "table"

    def __post_init__(self) -> None:
        if self.verify < 0 or (self.classes is not None and self.classes < 2):
            raise InvalidInputError(
                f"verify is 0 or above and classes 2 or above; got {self.verify} and {self.classes}"
            )


@dataclasses.dataclass(frozen=True, kw_only=True)
class ProfileOptions(OwnProfileOptions):
    """Measures a runtime for a preset's search space; what is known already is not measured again."""

    config: Annotated[RunConfig, tyro.conf.arg(name="")]


def profile_command(argv: list[str]) -> int:
    own, rest = split_options(OwnProfileOptions, argv, "tvnjax profile")
    form = chosen_format(own)
    if own.config_file is None and rest and rest[0] in HELP:
        show_help("profile", None, None, everything=False)
    options = parse_preset("profile", own, ProfileOptions, rest, fallback=DEFAULT_PRESET).options
    from tvnjax.cli.console import ConsoleMonitor, PlainConsole
    from tvnjax.core.environment import use_compilation_cache
    from tvnjax.latency.gate import Gate
    from tvnjax.latency.measure import clips_a_call
    from tvnjax.latency.profile import DEFAULT_CLASSES
    from tvnjax.running.problem import profile_device, space_and_classes
    from tvnjax.running.verification import verify_random

    use_compilation_cache()
    config: Any = options.config
    with ConsoleMonitor(quiet=options.quiet) as monitor:
        space, classes, runtime = space_and_classes(config, options.classes, DEFAULT_CLASSES, monitor)
        profile = profile_device(config, space, classes, runtime, monitor)
        gate: Gate = profile.gate
        if options.verify:
            gate = verify_random(config, space, classes, runtime, profile, options.verify, monitor)
    if form == "json":
        facts = {"measured": profile.measured, "reused": profile.reused, "seconds": profile.seconds}
        facts |= {"cheapest_ms": profile.cheapest_ms, "most_expensive_ms": profile.most_expensive_ms}
        facts |= {"uncertainty": profile.uncertainty, "environment": profile.environment}
        facts |= {"expectation_off": dict(profile.expected.errors)}
        print_json({"gate": gate.as_json(), **facts})
        return 0
    where = profile.environment
    title = f"Latency of {clips_a_call(config.latency_batch)}: {where['runtime']} {where['runtime_version']}, "
    title += f"{where['device']}, {where['threads']} thread{'s' * (where['threads'] > 1)}"
    table = Table("what", "value", title=title)
    table.add_row("measured now, known before", f"{profile.measured}, {profile.reused}")
    table.add_row("seconds", f"{profile.seconds:.0f}")
    table.add_row("cheapest network", f"{profile.cheapest_ms:.3g} ms measured")
    table.add_row("most expensive network", f"{profile.most_expensive_ms:.3g} ms measured (default budget: half of it)")
    table.add_row("a unit that was not measured is known to", f"±{profile.uncertainty:.1%}")
    if off := profile.expected.errors:
        worst = max(off, key=lambda name: off[name])
        table.add_row("expected costs: layers drawn are off by", f"at most {off[worst]:.2%} on average ({worst})")
    random = gate.random
    seen = "further random" if options.verify else "random, cross-validated"
    table.add_row("networks the gate rests on", f"{random['count']:.0f} {seen}")
    table.add_row("mean absolute error", f"{random['mape']:.1%}  (at most 8 %)")
    table.add_row("within 10 %", f"{random['within_10pct']:.0%}  (at least 85 %)")
    table.add_row("mean signed error", f"{random['bias']:+.1%}")
    table.add_row("Kendall's tau", f"{random['kendall_tau']:.2f}  (at least 0.90)")
    table.add_row("Kendall's tau of multiply-adds alone", f"{gate.flops_kendall_tau:.2f}")
    table.add_row("gate", "passed" if gate.passes else f"FAILED: {'; '.join(gate.failures)}")
    PlainConsole().print(table)
    return 0
