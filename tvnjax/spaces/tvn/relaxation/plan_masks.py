"""Probabilities of many plans at once, under independent shape genes."""

from collections.abc import Sequence

import numpy as np

from tvnjax.spaces.tvn.shapes import Plan, ShapeKey, ShapeSpace, ShapeTable


class PlanMasks:
    """What each gene needs to know of some plans, looked up once: which of its values make each of them.

    Few sets of values differ from plan to plan, so that a gene's probabilities are summed once for each set.

    Args:
        shapes: the space.
        plans: plans of it.

    Raises:
        ValueError: a plan is not of the space.
    """

    def __init__(self, shapes: ShapeSpace, plans: Sequence[Plan]):
        self.plans = tuple(plans)
        made = [shapes.equivalent(plan) for plan in self.plans]
        legal = {frames: shapes.legal_strides(frames) for frames in {plan.num_frames for plan in self.plans}}
        self._sets: dict[ShapeKey, list[tuple[np.ndarray, np.ndarray | None]]] = {}
        self._of: dict[ShapeKey, np.ndarray] = {}
        for key in shapes.keys:
            sets: dict[tuple, int] = {}
            chosen = []
            for plan, masks in zip(self.plans, made):
                fits = legal[plan.num_frames] if key.gene == "frame_stride" else None
                told = (masks[key].tobytes(), None if fits is None else fits.tobytes())
                if told not in sets:
                    sets[told] = len(sets)
                    self._sets.setdefault(key, []).append((masks[key], fits))
                chosen.append(sets[told])
            self._of[key] = np.array(chosen, int)

    def probabilities(self, weights: ShapeTable) -> np.ndarray:
        """``[plans]``: what ``ShapeSpace.probability`` gives of each, to the last digit."""
        total = np.ones(len(self.plans))
        for key, sets in self._sets.items():
            p = np.asarray(weights[key], float)
            total *= np.array([_share(p if fits is None else p * fits, mask) for mask, fits in sets])[self._of[key]]
        return total


def _share(p: np.ndarray, mask: np.ndarray) -> float:
    """The part of all probability that falls into a set."""
    whole = p.sum()
    return float(p[mask].sum() / whole) if whole > 0 else 0.0
