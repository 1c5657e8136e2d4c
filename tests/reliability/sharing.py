"""What two processes that share a cache may be: ``python -m tests.reliability.sharing KIND OUT``."""

import dataclasses
import sys
from pathlib import Path

from experiments.reliability.kill_anywhere import TINY

KINDS = ("run", "reproducible", "train", "profile")
REPRODUCIBLE = dataclasses.replace(TINY, strategies=("differentiable", "evolution"))
TIMED = dataclasses.replace(
    REPRODUCIBLE, reproducible=False, strategies=("differentiable", "random"), baseline_seconds=1.0
)


def main(kind: str, out: Path) -> int:
    if kind == "train":
        from tvnjax.cli import main as command

        few = ["--drawn-clips", "96", "--steps", "6", "--batch-size", "8", "--image-size", "32", "--frames", "2"]
        return command(["train", "tvn1", "--data", "motion", *few, "--out", str(out)])
    if kind == "profile":
        from tvnjax.core.environment import use_compilation_cache
        from tvnjax.core.monitor import Silent
        from tvnjax.running.problem import profile_device, space_and_classes

        use_compilation_cache()
        space = space_and_classes(TIMED, 4, 4, Silent())
        profile_device(TIMED, *space, Silent())
        return 0
    from tvnjax.cli.console import ConsoleMonitor
    from tvnjax.running import pipeline

    pipeline.write_report = lambda _: None
    pipeline.run(TIMED if kind == "run" else REPRODUCIBLE, out, "sharing", ConsoleMonitor)
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1], Path(sys.argv[2])))
