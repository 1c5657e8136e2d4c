"""What the tests of the supernet share: weights away from their initial values, compiled calls, the comparison."""

import jax
import jax.numpy as jnp
import numpy as np
from flax import nnx

from tvnjax.core.variables import ArchParam
from tvnjax.spaces.tvn.genotype import Genotype
from tvnjax.spaces.tvn.relaxation.subnet import subnet
from tvnjax.spaces.tvn.relaxation.supernet import Supernet
from tvnjax.spaces.tvn.relaxed import GENES, RelaxedPlan
from tvnjax.trainers.gene_weights import one_hot

FAST_COMPILE = {"xla_backend_optimization_level": 0}


def randomise(model: nnx.Module, seed: int = 0) -> None:
    """Statistics, scales and biases away from 0 and 1, and attention that does something."""
    rng = np.random.default_rng(seed)
    for path, variable in nnx.to_flat_state(nnx.state(model, nnx.Not(ArchParam))):
        noise = jnp.asarray(rng.standard_normal(variable.shape), jnp.float32)
        if path[-1] == "var":
            variable[...] = jnp.exp(0.3 * noise)
        elif path[-1] in ("scale", "bias", "mean"):
            variable[...] = variable[...] + 0.3 * noise
        elif not np.any(variable[...]):
            variable[...] = 0.3 * noise


class Calls:
    """Compiled calls of a supernet: evaluation and training, mixed and sampled."""

    def __init__(self, model: Supernet, sampled: tuple[bool, ...] = (False,)):
        self.model, self.sampled = model, sampled
        self.graph, self.state = nnx.split(model)
        self._calls = {
            (train, how): jax.jit(self._call(train, how), compiler_options=FAST_COMPILE)
            for train in (False, True)
            for how in sampled
        }
        plan = model.plan
        size = (2, plan.num_frames, plan.image_size, plan.image_size, 3)
        self.clip = np.random.default_rng(2).standard_normal(size).astype(np.float32)

    def _call(self, train, sampled):
        return lambda state, clip, weights: nnx.merge(self.graph, state, copy=True)(
            clip, weights, train=train, sampled=sampled
        )

    def __call__(self, weights, *, train, sampled=False, state=None):
        return self._calls[train, sampled](self.state if state is None else state, self.clip, weights)


def assert_one_hot_is_the_child(calls: Calls, genotype: Genotype) -> None:
    """Class scores of the supernet and of the child, to 1e-5 of the largest, in evaluation and in training."""
    weights, child = one_hot(calls.model.plan, genotype), subnet(calls.model, genotype)
    graph, state = nnx.split(child)
    both = jax.jit(
        lambda clip: [nnx.merge(graph, state, copy=True)(clip, train=train) for train in (False, True)],
        compiler_options=FAST_COMPILE,
    )(calls.clip)
    for train, theirs in zip((False, True), both):
        scale = float(jnp.abs(theirs).max())
        assert scale > 0.05
        for sampled in calls.sampled:
            ours = calls(weights, train=train, sampled=sampled)
            np.testing.assert_allclose(ours, theirs, atol=1e-5 * scale, err_msg=f"{train=} {sampled=}")


def networks_with_every_value(plan: RelaxedPlan, seed: int = 1) -> list[Genotype]:
    """Networks in which every legal candidate of every choice of every block occurs."""
    rng = np.random.default_rng(seed)
    legal = [{gene: np.flatnonzero(block.legal(gene)) for gene in GENES} for block in plan.blocks]
    rows = max(len(indices) for block in legal for indices in block.values())
    columns = [{gene: rng.permutation(np.resize(indices, rows)) for gene, indices in block.items()} for block in legal]
    return [
        plan.decode(tuple({gene: int(column[gene][row]) for gene in GENES} for column in columns))
        for row in range(rows)
    ]
