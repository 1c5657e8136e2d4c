"""Which weights there are: those of the space's largest plan, or, where these have no room, of the plans trained.

Either way every plan's weights are leading slices of the arrays. In the first form the arrays are those of the largest
plan from the start. In the second they are as large as the plans trained so far need, and grow between steps: what is
there keeps its values and moments, what is new starts as fresh weights. Fresh weights depend on the seed, the array's
name and the place in the array (``fresh_weights``), times the standard deviation that the layer asks for at the size
the array then has; not on what was grown before.
"""

import math
import os
import warnings
from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

import jax
import numpy as np
from flax import nnx

from tvnjax.core.errors import InvalidInputError
from tvnjax.core.variables import ArchParam
from tvnjax.graph import HeadKind
from tvnjax.spaces.relaxing import Plan, Relaxation, RelaxedPlan
from tvnjax.trainers.gene_layout import GeneLayout
from tvnjax.trainers.outline import Outline, Sketch, count, covers, outline, union
from tvnjax.trainers.param_layout import ParamLayout
from tvnjax.trainers.programs import Programs
from tvnjax.trainers.supernet_state import SupernetState

STATE_BYTES = 16
"""Of a weight in a state: float32, Adam's two moments, the count of its steps."""

STEP_BYTES = 2 * STATE_BYTES + 4
"""Of a weight in a step: the state before it and behind it, and a gradient."""

_HOST_STATES = 4
"""States on a CPU at a time: before and behind a step, at the end of the last window, and the last good one."""


def most_weights(programs: Programs) -> int:
    """Weights that a search on some devices can hold: by what a step needs on a device, and by half of this machine's
    memory. The other half is for clips and activations, and for what programs take while they are compiled."""
    host = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2
    states = _HOST_STATES if programs.platform == "cpu" else 2
    most = host / (states * STATE_BYTES + 4)
    if programs.memory_bytes is not None:
        most = min(most, programs.memory_bytes / STEP_BYTES)
    return int(most)


class LeftOut(NamedTuple):
    """A plan that gets no weights."""

    plan: Plan
    reason: str


class Growth(NamedTuple):
    """What became of the weights when plans were added."""

    changed: bool
    before: int
    """Weights there were."""
    dropped: int
    """Of these no longer there: no plan of the working set uses them, and with them there was no room."""
    left_out: list[LeftOut]


class PlanWeights:
    """The arrays that all trained plans share.

    Args:
        programs: whose devices hold them.
        most: weights that can be held; ``None``: any number.
    """

    def __init__(
        self,
        relaxation: Relaxation,
        num_classes: int,
        seed: int,
        head: HeadKind,
        programs: Programs,
        most: int | None = None,
    ):
        self._relaxation, self._num_classes, self._seed = relaxation, num_classes, seed
        self._head: HeadKind = head
        self._programs, self._most = programs, most
        self._room: dict[Plan, bool] = {}
        self._held: Outline | None = None
        self.largest = relaxation.largest()
        self.of_largest: int | None = None
        """Weights of the largest plan, where they were counted."""
        if relaxation.searched and most is not None:
            alphas, arrays = self._sketched(self.largest)
            self.of_largest = count(arrays)
            if self.of_largest > most:
                self.genes = GeneLayout(self.largest.blocks, alphas)
                self._hold({})
                return
        model = relaxation.supernet(self.largest, num_classes, seed, head=head)
        _, alphas, params, _ = nnx.split(model, ArchParam, nnx.Param, ...)
        self.genes = GeneLayout(self.largest.blocks, alphas)
        """Where all plans' choices stand."""
        self.layout = ParamLayout(params)
        """Where the arrays stand now."""
        # On the host: what is on a device is the state's, whose memory a step may take.
        self.start = np.asarray(self.layout.flatten(params))
        """All weights at the beginning."""

    @property
    def grow(self) -> bool:
        """Whether arrays are as large as the plans trained need; otherwise as large as the largest plan's."""
        return self._held is not None

    @property
    def most(self) -> int | None:
        """Weights that a plan may have; ``None`` where every plan's are there."""
        return self._most if self.grow else None

    def has_room(self, plan: Plan) -> bool:
        """Whether a plan's own weights are no more than can be held."""
        if self.most is None:
            return True
        program = self._relaxation.program(plan)
        if program not in self._room:
            self._room[program] = room = count(self._outline(program)) <= self.most
            if room:
                self._room |= dict.fromkeys(map(self._relaxation.program, self._relaxation.prefixes(program)), True)
        return self._room[program]

    def added(
        self, state: SupernetState, plans: Sequence[Plan], working: Sequence[Plan]
    ) -> tuple[SupernetState, Growth]:
        """Arrays for further plans, where they grow.

        Where the arrays of all plans trained so far have no room together, those of the working set alone are kept;
        where these have none either, a plan is left out.

        Args:
            plans: of programs of their own, in the order in which they are given room.
            working: the plans of the working set; ``plans`` may be among them.
        """
        before = self.layout.size
        if self._held is None or self._most is None:
            return state, Growth(False, before, 0, [])
        held, left_out, most = self._held, [], self._most
        members = [self._outline(plan) for plan in working if plan not in plans]
        for plan in plans:
            own = self._outline(plan)
            together, needed = union([held, own]), union([*members, own])
            if count(together) <= most:
                held = together
            elif count(needed) <= most:
                held = needed
            else:
                alone = count(own)
                what = f"it has {alone:.3g} weights" if alone > most else f"with the others it has {count(needed):.3g}"
                left_out.append(LeftOut(plan, f"{what}, and {most:.3g} weights have room"))
                continue
            members.append(own)
        if covers(held, self._held) and covers(self._held, held):
            return state, Growth(False, before, 0, left_out)
        state, kept = self._moved(state, held)
        return state, Growth(True, before, before - kept, left_out)

    def capture(self) -> Any:
        """Which arrays there are, to be kept as JSON: ``None`` for those of the largest plan."""
        if self._held is None:
            return None
        arrays = [[list(path), list(s.shape), s.deviation, s.mean] for path, s in self._held.items()]
        return {"most": self._most, "arrays": arrays}

    def restore(self, told: Mapping[str, Any] | None) -> bool:
        """Goes on from what ``capture`` gave; returns whether arrays are others than before.

        Raises:
            InvalidInputError: they are those of the largest plan, which has no room here.
        """
        if told is None and self._held is None:
            return False
        if told is None:
            raise InvalidInputError(
                f"a search goes on with the weights it began with, here its largest plan's {self.of_largest}; there is "
                f"room for {self._most}: go on where there is more memory, or give more (--search.memory-gb)"
            )
        held = {tuple(path): Sketch(tuple(shape), *rest) for path, shape, *rest in told["arrays"]}
        began, here = int(told["most"]), self._most
        if here is not None and here < began:
            warnings.warn(
                f"the search began where {began} weights had room, here {here} have: plans that it draws from now on "
                "have no more than that",
                stacklevel=2,
            )
        self._most = began if here is None else min(began, here)
        self._room = {}
        if self._held is not None and covers(held, self._held) and covers(self._held, held):
            return False
        self._hold(held)
        return True

    def like(self, fresh: SupernetState, told: Mapping[str, Any] | None) -> SupernetState:
        """What has the shapes of a state that was captured.

        Args:
            fresh: a state of the arrays that there are now.
        """
        if told is None:
            return fresh
        size = sum(math.prod(shape) for _, shape, *_ in told["arrays"])

        def sized(leaf: Any) -> Any:
            return np.broadcast_to(np.zeros((), leaf.dtype), (size,))

        return fresh._replace(params=sized(fresh.params), opt=_of_weights(fresh.opt, self.layout.size, sized))

    def _moved(self, state: SupernetState, held: Outline) -> tuple[SupernetState, int]:
        """A state with other arrays, and how many weights both have: these are kept, with their moments; others are
        fresh ones without."""
        old = self.layout
        self._hold(held)
        corners = {
            path: tuple(map(slice, map(min, shape, old.shapes[path])))
            for path, shape in self.layout.shapes.items()
            if path in old.shapes
        }

        def moved(leaf: Any, start: np.ndarray) -> Any:
            there, here = old.on_host(jax.device_get(leaf)), self.layout.on_host(start)
            for path, corner in corners.items():
                here[path][corner] = there[path][corner]
            return self._programs.put(start)

        opt = _of_weights(state.opt, old.size, lambda leaf: moved(leaf, np.zeros(self.layout.size, leaf.dtype)))
        state = state._replace(params=moved(state.params, self._fresh()), opt=opt)
        # What layers drew themselves is in the state now; where such an array grows it is drawn as others are.
        self._held = {path: sketch._replace(given=None) for path, sketch in held.items()}
        return state, sum(math.prod(part.stop for part in corner) for corner in corners.values())

    def _fresh(self) -> np.ndarray:
        """All weights as they start."""
        vector = np.empty(self.layout.size, np.float32)
        for path, array in self.layout.on_host(vector).items():
            array[...] = (self._held or {})[path].drawn(self._seed, path)
        return vector

    def _hold(self, arrays: Outline) -> None:
        self._held = arrays
        self.layout = ParamLayout.of(arrays)
        self.start = np.zeros(0, np.float32)

    def _outline(self, plan: Plan) -> Outline:
        return self._sketched(self._relaxation.relaxed(plan))[1]

    def _sketched(self, plan: RelaxedPlan) -> tuple[nnx.State, Outline]:
        """A plan's logits, and what weights it has."""
        # Small arrays of layers are made on a device, wherever that is.
        with jax.transfer_guard("allow"):
            model = self._relaxation.supernet(plan, self._num_classes, None, head=self._head)
            _, alphas, params, _ = nnx.split(model, ArchParam, nnx.Param, ...)
            return alphas, outline(params)


def _of_weights(tree: Any, size: int, function: Callable[[Any], Any]) -> Any:
    """A tree whose arrays of ``size`` weights, moments or counts are what a function makes of them."""
    return jax.tree.map(lambda leaf: function(leaf) if leaf.shape == (size,) else leaf, tree)
