"""The problem of a run as a worker of it has it: another process, or another machine."""

import dataclasses
from typing import Any

from tvnjax.core.environment import use_compilation_cache
from tvnjax.core.errors import InvalidInputError
from tvnjax.core.monitor import Silent
from tvnjax.data.clips import ClipSet
from tvnjax.data.contents import is_whole
from tvnjax.running.config import RunConfig
from tvnjax.running.problem import Problem, prepare_problem, problem_of, runtime_of
from tvnjax.running.task import Evaluator


@dataclasses.dataclass(frozen=True)
class EvaluatorOf:
    """Makes evaluators where it is called, on the very clips that the run prepared."""

    config: RunConfig
    clips: ClipSet

    def __call__(self, strategy: str) -> Any:
        key = (self.config, self.clips.fingerprint)
        if key not in _PROBLEMS:
            _PROBLEMS.clear()
            _PROBLEMS[key] = self._problem()
        return Evaluator(_PROBLEMS[key]).evaluate

    def _problem(self) -> Problem:
        """The run's problem: its clips are read where the run has put them. On a machine without that folder they are
        made again, and have to come to the same.

        Raises:
            InvalidInputError: they do not.
        """
        use_compilation_cache()
        if is_whole(self.clips.directory, self.clips.fingerprint, by_size=True):
            runtime = runtime_of(self.config)
            return problem_of(self.config, self.clips, runtime)
        problem = prepare_problem(self.config, Silent(), told=False)
        if problem.clips.fingerprint != self.clips.fingerprint:
            raise InvalidInputError(
                f"workers train on the clips of their run; those made of {self.clips.name} here are others (digest "
                f"{problem.clips.fingerprint[:12]}, the run's {self.clips.fingerprint[:12]}): give this machine the "
                "same videos, or a cache folder it shares with the run (TVNJAX_CACHE)"
            )
        return problem


_PROBLEMS: dict[tuple[RunConfig, str], Problem] = {}
"""Of a worker, which serves one run at a time."""
