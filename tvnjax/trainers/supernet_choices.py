"""What a supernet's logits say: probabilities of candidates, of plans' sizes, and what networks cost under them."""

from collections.abc import Callable
from typing import Any

import jax
import numpy as np
from jax import Array

from tvnjax.spaces.relaxing import RelaxedPlan
from tvnjax.trainers.gene_layout import GeneLayout
from tvnjax.trainers.gene_weights import GeneWeights, plan_masks
from tvnjax.trainers.programs import Programs
from tvnjax.trainers.search_steps import SearchSteps, Settings
from tvnjax.trainers.supernet_settings import SupernetTraining
from tvnjax.trainers.supernet_state import SupernetState


class SupernetChoices:
    """Reads the logits of a state; without draws.

    Args:
        steps: gives the present steps.
    """

    def __init__(
        self, layout: GeneLayout, programs: Programs, training: SupernetTraining, steps: Callable[[], SearchSteps]
    ):
        self._layout, self._programs, self._training, self._steps = layout, programs, training, steps

    def weights(self, plan: RelaxedPlan, state: SupernetState, temperature: float) -> GeneWeights:
        """Probabilities of what a plan can have."""
        mask = self._programs.put(self._layout.pack(plan_masks(plan, len(self._layout.genes)), bool))
        return self._layout.unpack(self._likeliest(state, mask, temperature), len(plan.blocks))

    def probabilities(self, state: SupernetState, temperature: float) -> tuple[GeneWeights, Any]:
        """Gene probabilities of every block, no plan's limits applied, and those of the shape genes; on the host."""
        packed = self._likeliest(state, self._programs.put(self._layout.exists), temperature)
        return self._layout.unpack(packed), self.shape_weights(state.shapes)

    def parts(self, state: SupernetState, temperature: float) -> Array:
        """Expected costs as parts of their budgets."""
        settings = self._programs.put(Settings.of(self._training, temperature, 1.0).array())
        return self._steps().costs(self._programs.run, state, settings)[0]

    def shape_weights(self, shapes: Any) -> Any:
        """Probabilities of every shape gene's values; genes of one value included; on the host."""
        return jax.device_get(self._programs.run("shape weights", self._steps().shape_weights, shapes))

    def _likeliest(self, state: SupernetState, mask: Array, temperature: float) -> np.ndarray:
        temperature_ = self._programs.put(np.float32(temperature))
        return np.asarray(self._programs.run("likeliest", self._steps().likeliest, state.alphas, mask, temperature_))
