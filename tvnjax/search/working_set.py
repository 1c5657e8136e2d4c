"""The working set: the few compiled plans that stand for all of them while the shape genes are searched.

A set drawn from the policy alone settles before every value has been tried (one-pixel textures were lost that way, for
want of a plan of full resolution in the set). So the set *covers*: every value of every gene that is still alive
occurs in some member, if there is room, and the weakest members are re-drawn now and then.
"""

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from tvnjax.space.shapes import Plan, ShapeKey, ShapeSpace, ShapeTable

_DRAWS = 256
"""Plans drawn from the policy to pick new members from."""


class WorkingSet:
    """At most ``size`` plans.

    Args:
        allowed: whether a plan may be a member (one whose cheapest network is over the budget may not).
        alive: probability below which a value need not be covered.
    """

    def __init__(
        self,
        shapes: ShapeSpace,
        size: int,
        rng: np.random.Generator,
        *,
        allowed: Callable[[Plan], bool] = lambda plan: True,
        alive: float = 0.02,
    ):
        self._shapes, self._size, self._rng, self._allowed, self._alive = shapes, size, rng, allowed, alive
        self._covered: dict[Plan, np.ndarray] = {}
        self.plans: list[Plan] = []
        self.seen: list[Plan] = []
        """Every plan that ever was a member."""

    def fill(self, weights: ShapeTable) -> list[Plan]:
        """Adds members until the set is full or no further plan exists; returns the new ones."""
        new: list[Plan] = []
        drawn = self._draw(weights)
        alive = [np.asarray(weights[key], float) >= self._alive for key in self._shapes.searched]
        alive = np.concatenate(alive) if alive else np.zeros(0, bool)
        while len(self.plans) < self._size:
            rest = [plan for plan in drawn if plan not in self.plans]
            if not rest:
                break
            missing = ~np.any([self._covers(plan) for plan in self.plans] or [~alive], axis=0) & alive
            gains = np.array([(missing & self._covers(plan)).sum() for plan in rest])
            # Stable sorting keeps the order of drawing, so that of equal gains the policy's likelier comes first.
            order = np.argsort(-gains, kind="stable")
            # Where the budget allows next to nothing, a plan that is over it still beats having none.
            plan = next((rest[i] for i in order if self._allowed(rest[i])), None if self.plans else rest[order[0]])
            if plan is None:
                break
            self.plans.append(plan)
            new.append(plan)
        self.seen += [plan for plan in new if plan not in self.seen]
        return new

    def renew(self, weights: ShapeTable, part: float = 1 / 3) -> list[Plan]:
        """Drops the members of least probability, takes in the policy's likeliest plan and fills up; returns the new
        ones."""
        p = [self._shapes.probability(plan, weights) for plan in self.plans]
        keep = len(self.plans) - max(1, int(len(self.plans) * part))
        kept = [self.plans[index] for index in sorted(np.argsort(p)[::-1][:keep].tolist())]
        mode = self._shapes.mode(weights)
        new = [mode] if mode not in self.plans and self._allowed(mode) else []
        self.plans = kept + new
        self.seen += [plan for plan in new if plan not in self.seen]
        return new + self.fill(weights)

    def probabilities(self, weights: ShapeTable) -> np.ndarray:
        """``[members]``: the policy restricted to the set."""
        p = np.array([self._shapes.probability(plan, weights) for plan in self.plans])
        return p / p.sum() if p.sum() > 0 else np.full(len(p), 1 / len(p))

    def members(self) -> dict[ShapeKey, tuple[np.ndarray, np.ndarray]]:
        """For every searched gene two masks ``[members, values]``: the values that make each member, and those legal
        beside its other genes."""
        made = [self._shapes.equivalent(plan) for plan in self.plans]
        table = {}
        for key in self._shapes.searched:
            rows = np.stack([masks[key] for masks in made])
            legal = np.ones_like(rows)
            if key.gene == "frame_stride":
                legal = np.stack([self._shapes.legal_strides(plan.num_frames) for plan in self.plans])
            table[key] = ((rows & legal).astype(np.float32), legal.astype(np.float32))
        return table

    def _draw(self, weights: ShapeTable) -> list[Plan]:
        """Distinct plans from the policy, mixed with the uniform one so that no value is out of reach."""
        uniform = self._shapes.uniform()
        mixed: dict[ShapeKey, Any] = {
            key: 0.7 * np.asarray(weights[key], float) + 0.3 * uniform[key] for key in self._shapes.keys
        }
        return list(dict.fromkeys(self._shapes.sample(mixed, self._rng) for _ in range(_DRAWS)))

    def _covers(self, plan: Plan) -> np.ndarray:
        """For every value of every searched gene, in order: whether the plan has it and it means something there."""
        if plan not in self._covered:
            masks = self._shapes.equivalent(plan)
            rows = [masks[key] & (not masks[key].all()) for key in self._shapes.searched]
            self._covered[plan] = np.concatenate(rows) if rows else np.zeros(0, bool)
        return self._covered[plan]


def likeliest(shapes: ShapeSpace, weights: ShapeTable, plans: Sequence[Plan]) -> list[Plan]:
    """Plans by falling probability."""
    return sorted(plans, key=lambda plan: -shapes.probability(plan, weights))
