"""The working set: the few compiled plans that stand for all of them while the shape genes are searched.

A set drawn from the policy alone settles before every value has been tried (one-pixel textures were lost that way, for
want of a plan of full resolution in the set). So the set *covers*: every value of every gene that is still alive
occurs in some member, if there is room, and the weakest members are re-drawn now and then.
"""

import dataclasses
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from tvnjax.spaces.tvn.relaxation.plan_masks import PlanMasks
from tvnjax.spaces.tvn.relaxation.room import RoomyDraws
from tvnjax.spaces.tvn.shapes import Plan, ShapeKey, ShapeSpace, ShapeTable, plan_from_json

_DRAWS = 256
"""Plans drawn from the policy to pick new members from."""


class WorkingSet:
    """Plans that share at most ``size`` programs.

    What costs nothing more to compile comes along with a program: several distances between its frames, which are an
    input of it, and its prefixes, the plans of its first blocks, which it computes on its way. So a program's members
    differ in the number of blocks and the frame stride with all else equal, which is when losses tell most.

    Args:
        size: programs to compile.
        allowed: whether a plan may be a member (one whose cheapest network is over the budget may not).
        alive: probability below which a value need not be covered.
        strides: distances between frames that a program brings along.
        room: draws plans that are likely to have room, where not all have.
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
        room: RoomyDraws | None = None,
    ):
        self._shapes, self._size, self._rng, self._allowed, self._alive = shapes, size, rng, allowed, alive
        self._strides, self._room = strides, room
        self._losses: dict[Plan, float] = {}
        self._covered: dict[Plan, np.ndarray] = {}
        self._programs: dict[Plan, list[Plan]] = {}
        self._masks: PlanMasks | None = None
        self.seen: list[Plan] = []
        """Every plan that ever was a member."""

    def capture(self) -> dict[str, Any]:
        """The set as it is, to be kept as JSON; its generator is its maker's."""
        return {
            "programs": [(longest, list(members)) for longest, members in self._programs.items()],
            "losses": list(self._losses.items()),
            "seen": list(self.seen),
        }

    def restore(self, state: dict[str, Any]) -> None:
        """Goes on from what ``capture`` gave, as it comes back from JSON or as it was."""
        self._programs = {_plan(longest): [*map(_plan, members)] for longest, members in state["programs"]}
        self._losses = {_plan(plan): loss for plan, loss in state["losses"]}
        self.seen = [*map(_plan, state["seen"])]

    @property
    def passed_over(self) -> int:
        """Draws so far that were made again, or cut short, for want of room."""
        return 0 if self._room is None else self._room.passed_over

    @property
    def programs(self) -> list[Plan]:
        """The longest plan of every program, its frames next to each other."""
        return list(self._programs)

    @property
    def plans(self) -> list[Plan]:
        """The members, program by program."""
        return [plan for members in self._programs.values() for plan in members]

    def members_of(self, program: Plan) -> list[Plan]:
        """The members of one of ``programs``."""
        return self._programs[program]

    @property
    def views(self) -> list[list[Plan]]:
        """The members, those together that read the same frames in the same program; the longest of them last."""
        views = []
        for members in self._programs.values():
            strides = dict.fromkeys(plan.frame_stride for plan in members)
            views += [[plan for plan in members if plan.frame_stride == stride] for stride in strides]
        return views

    def fill(self, weights: ShapeTable) -> list[Plan]:
        """Adds programs until the set is full or no further plan exists; returns the new programs' longest plans."""
        before = self.programs
        families, equally = self._families(weights, self._size), self._room is not None and self._room.limited
        alive = [np.asarray(weights[key], float) >= self._alive for key in self._shapes.searched]
        alive = np.concatenate(alive) if alive else np.zeros(0, bool)
        while len(self._programs) < self._size:
            members = set(self.plans)
            families = [family for family in families if not members.issuperset(family)]
            if not families and equally:
                # Behind those with an equal part of the room: what has room beside the others is found out later.
                families, equally = self._families(weights, 1), False
                continue
            if not families:
                break
            missing = ~np.any([self._covers(plan) for plan in members] or [~alive], axis=0) & alive
            gains = [(missing & np.any([self._covers(p) for p in family], axis=0)).sum() for family in families]
            # Of equal gains the first drawn, so that the policy's likelier comes first.
            self._take(families[int(np.argmax(gains))])
        if not self._programs and (drawn := self._draw(weights, 1)):
            # Where the budget allows next to nothing, a plan that is over it still beats having none.
            self._take([self._shapes.prefixes(drawn[0])[0]])
        return [plan for plan in self.programs if plan not in before]

    def renew(self, weights: ShapeTable, part: float = 1 / 3) -> list[Plan]:
        """Drops the programs of least probability, takes in the policy's likeliest plan and fills up; returns the new
        programs' longest plans."""
        before = self.programs
        each = iter(PlanMasks(self._shapes, self.plans).probabilities(weights).tolist())
        p = [sum(next(each) for _ in plans) for plans in self._programs.values()]
        keep = len(before) - max(1, int(len(before) * part))
        families = [self._programs[before[index]] for index in sorted(np.argsort(p)[::-1][:keep])]
        kept = [family[-1] for family in families]
        mode = self._shapes.mode(weights)
        if self._allowed(mode) and not any(mode in family for family in families):
            kept.append(self._shapes.lengthened(mode, weights, self._rng))
        self._programs = {}
        for plan in kept:
            # Which strides come along is chosen anew.
            self._take(self._family(plan, weights))
        self.fill(weights)
        return [plan for plan in self.programs if plan not in before]

    def drop(self, program: Plan) -> None:
        """Takes out a program and its members, as if they had never been there; ``fill`` replaces them."""
        gone = self._programs.pop(program)
        self.seen = [plan for plan in self.seen if plan not in gone]

    def _family(self, longest: Plan, weights: ShapeTable) -> list[Plan]:
        """What comes along with a plan: its allowed prefixes, with its own frame stride and the likeliest others."""
        key = ShapeKey("frame_stride")
        p = np.asarray(weights[key], float) * self._shapes.legal_strides(longest.num_frames)
        likely = [self._shapes.values(key)[i] for i in np.argsort(-p, kind="stable") if p[i] > 0]
        strides = list(dict.fromkeys([longest.frame_stride, *likely]))[: self._strides]
        plans = [
            self._shapes.canonical(dataclasses.replace(prefix, frame_stride=stride))
            for prefix in self._shapes.prefixes(longest)
            for stride in strides
        ]
        plans = list(dict.fromkeys(plans))
        # The longest first: what is worked out about a plan serves its prefixes.
        allowed = {plan: self._allowed(plan) for plan in reversed(plans)}
        return [plan for plan in plans if allowed[plan]]

    def _take(self, family: list[Plan]) -> None:
        """Makes a family members; those that are already stay where they are."""
        members = set(self.plans)
        new = [plan for plan in family if plan not in members]
        if new:
            self._programs.setdefault(dataclasses.replace(family[-1], frame_stride=1), []).extend(new)
        self.seen += [plan for plan in new if plan not in self.seen]

    def probabilities(self, weights: ShapeTable) -> np.ndarray:
        """``[members]``: the policy restricted to the set."""
        plans = self.plans
        if self._masks is None or self._masks.plans != tuple(plans):
            self._masks = PlanMasks(self._shapes, plans)
        p = self._masks.probabilities(weights)
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

    def _families(self, weights: ShapeTable, together: int) -> list[list[Plan]]:
        return [self._family(plan, weights) for plan in self._draw(weights, together)]

    def _draw(self, weights: ShapeTable, together: int) -> list[Plan]:
        """Distinct longest plans from the policy, mixed with the uniform one so that no value is out of reach.

        Args:
            together: plans that room is drawn for, where it is limited.
        """
        uniform = self._shapes.uniform()
        mixed: dict[ShapeKey, Any] = {
            key: 0.7 * np.asarray(weights[key], float) + 0.3 * uniform[key] for key in self._shapes.keys
        }
        drawn = (self._shapes.sample(mixed, self._rng) for _ in range(_DRAWS))
        if self._room is not None and self._room.limited:
            # As long as they are drawn: what makes them longer has no room beside the rest.
            return list(dict.fromkeys(self._room.of(list(drawn), together, mixed, self._rng)))
        return list(dict.fromkeys(self._shapes.lengthened(plan, mixed, self._rng) for plan in drawn))

    def _covers(self, plan: Plan) -> np.ndarray:
        """For every value of every searched gene, in order: whether the plan has it and it means something there."""
        if plan not in self._covered:
            masks = self._shapes.equivalent(plan)
            rows = [masks[key] & (not masks[key].all()) for key in self._shapes.searched]
            self._covered[plan] = np.concatenate(rows) if rows else np.zeros(0, bool)
        return self._covered[plan]


def _plan(told: Any) -> Plan:
    return told if isinstance(told, Plan) else plan_from_json(told)


def likeliest(shapes: ShapeSpace, weights: ShapeTable, plans: Sequence[Plan]) -> list[Plan]:
    """Plans by falling probability."""
    p = PlanMasks(shapes, plans).probabilities(weights)
    return [plans[index] for index in np.argsort(-p, kind="stable")]
