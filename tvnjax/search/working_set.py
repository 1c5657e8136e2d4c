"""The working set: the few compiled plans that stand for all of them while the shape genes are searched.

A set drawn from the policy alone settles before every value has been tried (one-pixel textures were lost that way, for
want of a plan of full resolution in the set). So the set *covers*: every value of every gene that is still alive
occurs in some member, if there is room, and the weakest members are re-drawn now and then.
"""

import dataclasses
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from tvnjax.space.shapes import Plan, ShapeKey, ShapeSpace, ShapeTable

_DRAWS = 256
"""Plans drawn from the policy to pick new members from."""


class WorkingSet:
    """At most ``size`` plans to compile, each with several distances between its frames.

    Plans that differ in the frame stride alone are one program, so a member brings up to ``strides`` of them along.

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
        strides: int = 4,
    ):
        self._shapes, self._size, self._rng, self._allowed, self._alive = shapes, size, rng, allowed, alive
        self._strides = strides
        self._losses: dict[Plan, float] = {}
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
        while len(self._programs()) < self._size:
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
            new += self._add(plan, weights)
        self.seen += [plan for plan in new if plan not in self.seen]
        return new

    def renew(self, weights: ShapeTable, part: float = 1 / 3) -> list[Plan]:
        """Drops the members of least probability, takes in the policy's likeliest plan and fills up; returns the new
        ones."""
        programs = self._programs()
        p = [sum(self._shapes.probability(plan, weights) for plan in plans) for plans in programs]
        keep = len(programs) - max(1, int(len(programs) * part))
        before, mode = list(self.plans), self._shapes.mode(weights)
        kept = sorted(np.argsort(p)[::-1][:keep].tolist())
        # Which strides come along is chosen anew: they cost nothing to compile.
        self.plans = []
        for index in kept:
            self._add(programs[index][0], weights)
        if mode not in self.plans and self._allowed(mode):
            self._add(mode, weights)
        self.fill(weights)
        new = [plan for plan in self.plans if plan not in before]
        self.seen += [plan for plan in new if plan not in self.seen]
        return new

    def _programs(self) -> list[list[Plan]]:
        """Members by what is compiled for them."""
        groups: dict[Plan, list[Plan]] = {}
        for plan in self.plans:
            groups.setdefault(dataclasses.replace(plan, frame_stride=1), []).append(plan)
        return list(groups.values())

    def _add(self, plan: Plan, weights: ShapeTable) -> list[Plan]:
        """Takes in a plan and its likeliest frame strides; returns what was new."""
        key = ShapeKey("frame_stride")
        p = np.asarray(weights[key], float) * self._shapes.legal_strides(plan.num_frames)
        likely = [self._shapes.values(key)[i] for i in np.argsort(-p, kind="stable") if p[i] > 0][: self._strides]
        strides = [plan.frame_stride, *(stride for stride in likely if stride != plan.frame_stride)][: self._strides]
        family = [self._shapes.canonical(dataclasses.replace(plan, frame_stride=stride)) for stride in strides]
        new = [member for member in dict.fromkeys(family) if member not in self.plans]
        self.plans += new
        return new

    def probabilities(self, weights: ShapeTable) -> np.ndarray:
        """``[members]``: the policy restricted to the set."""
        p = np.array([self._shapes.probability(plan, weights) for plan in self.plans])
        return p / p.sum() if p.sum() > 0 else np.full(len(p), 1 / len(p))

    def scored(self, losses: Sequence[float]) -> None:
        """Takes in every member's loss on common clips. Half of the scoring before is kept: the clips are few."""
        for plan, loss in zip(self.plans, losses):
            self._losses[plan] = 0.5 * self._losses.get(plan, float(loss)) + 0.5 * float(loss)

    def scores(self) -> np.ndarray:
        """``[members]``: losses; of members not scored yet the mean of the others."""
        known = [self._losses[plan] for plan in self.plans if plan in self._losses]
        mean = float(np.mean(known)) if known else 0.0
        return np.array([self._losses.get(plan, mean) for plan in self.plans], np.float32)

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
