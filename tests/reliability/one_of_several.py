"""One process of a tiny search on several, run by ``test_several_hosts``: OUT COORDINATOR PROCESSES INDEX [OPTIONS
[PLANTED]]."""

import dataclasses
import json
import sys
from pathlib import Path
from typing import Any

import jax

from experiments.reliability.kill_anywhere import TINY
from tvnjax.cli.console import ConsoleMonitor
from tvnjax.core import hosts
from tvnjax.core.errors import InvalidInputError
from tvnjax.core.printable import on_one_line
from tvnjax.core.signals import Stopped
from tvnjax.running import pipeline
from tvnjax.running.config_values import changed
from tvnjax.running.distributed import Distributed
from tvnjax.trainers.supernet_trainer import SupernetTrainer


def plant() -> None:
    """One step has no memory left, as a device says it; another process is not waited for long."""
    steps, left = SupernetTrainer.search_steps, [1]

    def without_memory(*args: Any, **given: Any) -> Any:
        if left:
            left.clear()
            raise jax.errors.JaxRuntimeError("RESOURCE_EXHAUSTED: planted")
        return steps(*args, **given)

    SupernetTrainer.search_steps = without_memory
    hosts._MEET_S = 8.0


def main(out: Path, coordinator: str, processes: int, index: int, options: str = "{}", planted: str = "") -> int:
    if str(index) in planted.split(","):
        plant()
    config = dataclasses.replace(TINY, strategies=("differentiable",), devices="all")
    config = changed(config, json.loads(options))
    if processes > 1:
        place = Distributed(coordinator=coordinator, processes=processes, index=index)
        config = dataclasses.replace(config, distributed=place)
    pipeline.write_report = lambda _: None
    resume = index == 0 and (out / "config.json").exists()
    try:
        pipeline.run(config, out, "tiny", lambda d: ConsoleMonitor(d, quiet=True), argv=["tiny"], resume=resume)
    except Stopped as stopped:
        return stopped.status
    except InvalidInputError as error:
        print(f"error: {on_one_line(error)}", file=sys.stderr)
        return 2
    return 0


if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1]), sys.argv[2], int(sys.argv[3]), int(sys.argv[4]), *sys.argv[5:]))
