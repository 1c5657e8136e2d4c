"""All options of a run: apart from the command, because the configuration's class imports JAX."""

import dataclasses
from typing import Annotated

import tyro

from tvnjax.cli.presets import RunOptions
from tvnjax.running.config import RunConfig


@dataclasses.dataclass(frozen=True, kw_only=True)
class AllRunOptions(RunOptions):
    """A run's configuration, and what is asked for besides."""

    config: Annotated[RunConfig, tyro.conf.arg(name="")]
