"""Chains of one unit: how they are compiled for XLA, and how long they have to be."""

import functools
import time
from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from flax import nnx
from jax import Array
from jax.stages import Compiled

SHORT = 2
"""Turns of the short one of two chains of fixed length: XLA leaves no loop of a single turn, and optimises its body
together with what stands around it."""

_MOST_TURNS = 2**20
"""Of a chain; a turn of 1 ns would need as many."""


class Chain(NamedTuple):
    """Turns of one unit, behind one another in one program.

    The inputs of each turn hang on the mean of the turn before, so that no turn, and nothing of one, can be skipped or
    run early.
    """

    graph: nnx.GraphDef
    state: nnx.State
    x: tuple[Array, ...]
    options: dict[str, Any]
    """Of the compiler."""

    @property
    def arguments(self) -> tuple[nnx.State, tuple[Array, ...]]:
        """Of the program; behind them, where its length is free, the turns as an int32."""
        return self.state, self.x

    def compile(self, turns: int | None = None) -> Compiled:
        """The program.

        Args:
            turns: compiled in. XLA then knows how often the loop turns, and no host reads a condition meanwhile.
                Default: a further argument.
        """
        if turns is None:
            return jax.jit(self._run).lower(*self.arguments, jnp.int32(1)).compile(self.options)
        return jax.jit(functools.partial(self._run, turns=turns)).lower(*self.arguments).compile(self.options)

    def _run(self, state: nnx.State, x: tuple[Array, ...], turns: Array | int) -> Array:
        module = nnx.merge(self.graph, state, copy=True)

        def turn(_: int, x: tuple[Array, ...]) -> tuple[Array, ...]:
            mean = module(*x, train=False).mean()
            return tuple(array + 1e-20 * mean for array in x)

        return jax.lax.fori_loop(0, turns, turn, x)[0][0, 0, 0, 0, 0]


def chain_turns(
    run: Callable[[int], Any],
    clock: Callable[[], float] = time.perf_counter,
    *,
    short: int = 1,
    first: int = 8,
    growth: int = 2,
) -> int:
    """Turns of a chain, besides the short one's, that neither the clock's grain nor the cost of a call counts in.

    About 4 ms, or 200 turns where they take at least 1 ms: the smallest units take 50 ns a turn, and 200 of those
    are lost in what two calls differ by on a busy machine.

    Args:
        run: runs a chain of as many turns; what it returns is waited for.
        clock: seconds.
        short: turns of the short chain.
        first: turns more that are tried first.
        growth: times as many are tried next; where each number is a program of its own, fewer are tried.
    """

    def fastest(count: int) -> float:
        seconds = []
        for _ in range(3):
            start = clock()
            jax.block_until_ready(run(count))
            seconds.append(clock() - start)
        return min(seconds)

    jax.block_until_ready(run(short))
    call, turns = fastest(short), first
    while (more := fastest(short + turns) - call) < 1e-3 and turns < _MOST_TURNS:
        turns *= growth
    turn = max(more, 1e-9) / turns
    return int(min(max(min(4e-3 / turn, 200), 1e-3 / turn, 6), _MOST_TURNS))
