"""The paper's full ranges by gradient: what they cost to make ready, and how near expected costs are to drawn networks.

    python -m experiments.accelerator.full_ranges --json experiments/accelerator/full_ranges.json
    python -m experiments.accelerator.full_ranges --search --json experiments/accelerator/full_ranges.json

The second runs a search of few steps (``full_ranges_search``), and adds what it took to the first one's file.

Made are the space, the expected milliseconds (by a latency model), parameters and multiply-adds, their compiled
gradients, and the supernet of one plan of two blocks with its first step; quoted are CPU seconds of the process and its
largest resident memory. No device was timed: the latency model is fitted to times that ``layer_seconds`` makes up, with
2 % of noise, so that its cost has every part that a measured one has.

Networks are drawn one by one from random probabilities (softmax of normal logits), lowered, and priced exactly. With
all genes random (``all``) costs span many decades, and a few networks that hardly stride carry the mean: at counts that
can be afforded it and its standard error come out too low. ``sizes fixed`` has 320 px, 32 frames and strides of 1, and
all else random: its mean can be known. ``controlled`` is the mean with control variates: the physical parts of the
latency (one for each kind of layer), which are polynomials in all sizes, so that their expectation is known to
rounding; what is left varies less. ``z`` is in standard errors.
"""

import argparse
import dataclasses
import json
import os
import resource
import statistics
import time
from datetime import UTC, datetime
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
from flax import nnx

from experiments.accelerator.full_ranges_search import searched
from tvnjax.core.environment import environment
from tvnjax.core.run_dir import write_json
from tvnjax.core.variables import ArchParam
from tvnjax.graph import Head
from tvnjax.latency.cost_model import CostModel, Measured, fit
from tvnjax.latency.layer_regressor import Constants
from tvnjax.spaces.tvn.costs.factored.expected import FactoredCost
from tvnjax.spaces.tvn.genotype import Block, Genotype
from tvnjax.spaces.tvn.lowering import lower
from tvnjax.spaces.tvn.operators import IDENTITY
from tvnjax.spaces.tvn.relaxed import GENES
from tvnjax.spaces.tvn.search_space import paper_space
from tvnjax.spaces.tvn.shapes import BlockPlan, Plan, ShapeKey
from tvnjax.trainers.objective import cross_entropy

CLASSES = 10
PLAN = Plan(image_size=32, num_frames=4, blocks=(BlockPlan(filters=32), BlockPlan(filters=32)))
KINDS = ("pointwise", "dense", "depthwise", "temporal", "pool", "gate")


def layer_seconds(layer):
    """Made-up milliseconds of a layer: arithmetic slower on narrow layers, values slower once they leave the cache."""
    if isinstance(layer, Head):
        return 0.0
    moved = sum(shape.size for shape in layer.in_shapes) + layer.out_shape.size
    narrow = 1 + 0.5 * np.exp(-min(layer.in_shape.c, layer.out_shape.c) / 64)
    outside = 1 + 1.5 * moved / (moved + 3e5)
    return max(layer.macs / 2e8 * narrow, moved * 4 / 1e7 * outside) + 0.004 + layer.cost.gathered / 5e8


def latency_model(networks: int = 40) -> CostModel:
    """Fitted to networks of the space, of up to three blocks of three units."""
    rng, space, drawn = np.random.default_rng(0), paper_space(), []
    while len(drawn) < networks:
        genotype = space.sample(rng)
        if len(genotype.blocks) <= 3:
            blocks = (dataclasses.replace(b, repeats=min(b.repeats, 3), non_local=0) for b in genotype.blocks)
            drawn.append(lower(dataclasses.replace(genotype, blocks=tuple(blocks)), CLASSES))

    def noisy(seconds):
        return seconds * (1 + 0.02 * rng.standard_normal())

    units = [unit for network in drawn for unit in network.units][:80]
    return fit(
        Measured(
            units=tuple((u, noisy(sum(map(layer_seconds, u.all_layers)) + 0.002)) for u in units),
            networks=tuple(
                (n, noisy(0.05 + sum(map(layer_seconds, n.layers())) + 0.002 * len(n.units))) for n in drawn
            ),
        ),
        Constants(length=1.0, amplitude=0.4, noise=0.02, unit_weight=1.0),
    )


def random_probabilities(expected, rng):
    """Of every operator gene of every block, and of every shape gene."""

    def draw(count):
        p = np.exp(rng.standard_normal(count))
        return p / p.sum()

    genes = {gene: len(expected.relaxed.candidates(gene)) for gene in GENES}
    operators = tuple({gene: draw(n) for gene, n in genes.items()} for _ in expected.shapes.choices.blocks)
    return operators, {key: draw(len(expected.shapes.values(key))) for key in expected.shapes.keys}


class Sampler:
    """Networks as the expectation is defined: shape genes first, then operators that are legal at these sizes."""

    def __init__(self, expected, p, rng):
        self._expected, self._rng, self._relaxed = expected, rng, expected.relaxed
        operators, shapes = p
        self._shapes = {key: (expected.shapes.values(key), np.cumsum(q)) for key, q in shapes.items()}
        legal = {
            axis: np.array([operator != IDENTITY for operator in self._relaxed.candidates(axis)])
            for axis in ("spatial", "temporal")
        }
        legal["non_local"] = np.array([value == 0 for value in self._relaxed.non_local])
        self._genes = [{gene: np.cumsum(q) for gene, q in block.items()} for block in operators]
        self._masked = [{gene: np.cumsum(block[gene] * mask) for gene, mask in legal.items()} for block in operators]

    def _pick(self, cumulative):
        return min(int(np.searchsorted(cumulative, self._rng.random() * cumulative[-1], "right")), len(cumulative) - 1)

    def _shape(self, gene, block=None):
        values, cumulative = self._shapes[ShapeKey(gene, block)]
        return values[self._pick(cumulative)]

    def draw(self) -> Genotype:
        t, side = frames, size = self._shape("num_frames"), self._shape("image_size")
        blocks = []
        for index in range(self._shape("num_blocks")):
            space, time_ = self._shape("spatial_stride", index), self._shape("temporal_stride", index)
            space, time_ = min(space, side), min(time_, t)
            t, side = -(-t // time_), -(-side // space)
            crowded = t * side**2 > self._expected.operators.non_local_tokens
            illegal = {"spatial": space > 1, "temporal": time_ > 1, "non_local": crowded}
            genes = {}
            for gene in GENES:
                table = self._masked if illegal.get(gene) else self._genes
                genes[gene] = self._relaxed.candidates(gene)[self._pick(table[index][gene])]
            for axis in ("spatial", "temporal"):
                kind, kernel = genes.pop(axis)
                genes[f"{axis}_kernel"] = kernel
                if kernel > 1:
                    genes[f"{axis}_type"] = kind
            genes["filters"] = self._shape("filters", index)
            repeats = self._shape("repeats", index)
            blocks.append(Block(spatial_stride=space, temporal_stride=time_, repeats=repeats, **genes))
        return Genotype(image_size=size, num_frames=frames, blocks=tuple(blocks))


def priced(network, price):
    """Sums over layers of a vector. Repeats of a block are alike two by two, so later ones are not asked again."""
    known, total = {}, price(network.head)
    for unit in network.units:
        repeat = unit.repeat if unit.repeat < 3 else 1 + (unit.repeat - 1) % 2
        if (unit.block, repeat) not in known:
            known[unit.block, repeat] = sum(map(price, unit.all_layers), np.zeros_like(total))
        total = total + known[unit.block, repeat]
    return total


def cpu(function):
    start = time.process_time()
    result = function()
    return result, time.process_time() - start


def ready(space, prices):
    """Makes what a search needs and measures it."""
    rows, made = {}, {}
    relaxation = space.relax()
    for name, (price, options) in prices.items():
        expected, build_s = cpu(lambda price=price, options=options: relaxation.expected(price, CLASSES, **options))
        p = jax.tree.map(jnp.float32, random_probabilities(expected, np.random.default_rng(0)))
        gradient = jax.jit(jax.value_and_grad(lambda p, expected=expected: expected(*p)))
        _, compile_s = cpu(lambda gradient=gradient, p=p: jax.block_until_ready(gradient(p)))
        wall, process = [], []
        for _ in range(20):
            start = time.perf_counter()
            _, seconds = cpu(lambda gradient=gradient, p=p: jax.block_until_ready(gradient(p)))
            wall.append(1e3 * (time.perf_counter() - start))
            process.append(1e3 * seconds)
        made[name] = expected
        rows[name] = {
            "build_cpu_s": build_s,
            "gradient_compile_cpu_s": compile_s,
            "gradient_ms": statistics.median(wall),
            "gradient_cpu_ms": statistics.median(process),
            "drawn_layers_off": expected.errors,
        }
        print(name, rows[name], flush=True)
    return made, rows


def first_step(space):
    """CPU seconds of the supernet of ``PLAN`` and its first step of weights and gene weights, and of a second one."""
    relaxation = space.relax()
    net, build_s = cpu(lambda: relaxation.supernet(relaxation.relaxed(PLAN), CLASSES))
    graph, alphas, params, rest = nnx.split(net, ArchParam, nnx.Param, ...)
    clip, label = jnp.zeros((2, 4, 32, 32, 3)), jnp.zeros(2, int)

    def loss(params, weights):
        model = nnx.merge(graph, alphas, params, rest, copy=True)
        return cross_entropy(model(clip, weights, train=True), label)

    step, weights = jax.jit(jax.value_and_grad(loss, argnums=(0, 1))), net.probabilities()
    _, first_s = cpu(lambda: jax.block_until_ready(step(params, weights)))
    _, again_s = cpu(lambda: jax.block_until_ready(step(params, weights)))
    return {"plan": str(PLAN), "build_cpu_s": build_s, "first_step_cpu_s": first_s, "second_step_cpu_s": again_s}


def at_full_size(expected, p):
    """The same probabilities, but of networks that read the most and never stride."""
    fixed = {"image_size": 320, "num_frames": 32, "spatial_stride": 1, "temporal_stride": 1}
    operators, shapes = p
    one_hot = {key: np.equal(expected.shapes.values(key), fixed[key.gene]) * 1.0 for key in shapes if key.gene in fixed}
    return operators, shapes | one_hot


def against_networks(made, prices, model, p, count, rng):
    """The mean over drawn networks beside the expected cost, for one vector of probabilities."""
    sampler, kinds = Sampler(made["ms"], p, rng), np.eye(len(KINDS))

    def price(layer):
        """``prices``, then the physical milliseconds by kind."""
        prior = model.prior_ms(layer)
        factor = 1.0 if isinstance(layer, Head) else model.regressor.factor(layer)
        group = np.zeros(len(KINDS)) if isinstance(layer, Head) else kinds[KINDS.index(layer.cost.group)]
        return np.concatenate([[prior * factor, layer.params, layer.macs], prior * group])

    assert list(prices) == ["ms", "params", "macs"]
    ms = prices["ms"][1]
    totals = np.zeros((count, len(prices) + len(KINDS)))
    for row in range(count):
        network = lower(sampler.draw(), CLASSES)
        totals[row] = priced(network, price)
        totals[row, 0] += ms["constant"] + ms["unit_cost"] * len(network.units)
    known = np.array([float(jax.jit(expected)(*p)) for expected in made["controls"]])
    rows = {}
    for column, name in enumerate(prices):
        drawn, expected = totals[:, column], float(jax.jit(made[name])(*p))
        error = drawn.std() / np.sqrt(count)
        rows[name] = {
            "expected": expected,
            "mean": drawn.mean(),
            "off": expected / drawn.mean() - 1,
            "standard_error": error / drawn.mean(),
            "z": (expected - drawn.mean()) / error,
        }
        if name == "ms":
            beside = totals[:, len(prices) :] - known
            slopes, *_ = np.linalg.lstsq(beside - beside.mean(0), drawn - drawn.mean(), rcond=None)
            left = drawn - beside @ slopes
            error = left.std() / np.sqrt(count)
            rows[name]["controlled"] = {
                "mean": left.mean(),
                "off": expected / left.mean() - 1,
                "standard_error": error / left.mean(),
                "z": (expected - left.mean()) / error,
            }
    return rows


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--genotypes", type=int, default=100_000)
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--search", action="store_true", help="search alone, and add it to what the file says")
    parser.add_argument("--json", type=Path, required=True)
    given = parser.parse_args()
    model = latency_model()
    if given.search:
        told = json.loads(given.json.read_text()) if given.json.exists() else {}
        found = {"date": datetime.now(UTC).date().isoformat(), **searched(model), "cores": os.cpu_count()}
        write_json(given.json, told | {"search": found | {"environment": environment()}})
        return
    space, space_s = cpu(paper_space)
    prices = {
        "ms": (model.layer_ms, {"unit_cost": model.unit_ms, "constant": model.network_ms}),
        "params": (lambda layer: float(layer.params), {}),
        "macs": (lambda layer: float(layer.macs), {}),
    }
    made, rows = ready(space, prices)
    told = {
        "command": f"python -m experiments.accelerator.full_ranges --genotypes {given.genotypes} --seeds {given.seeds}",
        "date": datetime.now(UTC).date().isoformat(),
        "log10_networks": space.log10_size,
        "space_cpu_s": space_s,
        "expected": rows,
        "step": first_step(space),
        "peak_gib": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20,
    }
    told["ms_ready_cpu_s"] = (
        space_s
        + sum(rows["ms"][name] for name in ("build_cpu_s", "gradient_compile_cpu_s"))
        + sum(told["step"][name] for name in ("build_cpu_s", "first_step_cpu_s"))
    )
    print(json.dumps({key: told[key] for key in ("ms_ready_cpu_s", "peak_gib", "step")}, indent=1), flush=True)

    def of_kind(kind):
        def price(layer):
            return 0.0 if isinstance(layer, Head) or layer.cost.group != kind else model.prior_ms(layer)

        return price

    made["controls"] = [FactoredCost(*space.origin, CLASSES, of_kind(kind)) for kind in KINDS]
    told["against_networks"] = []
    for seed in range(given.seeds):
        rng = np.random.default_rng(seed)
        p = random_probabilities(made["ms"], rng)
        for what, of in (("sizes fixed", at_full_size(made["ms"], p)), ("all", p)):
            row = {"seed": seed, "probabilities": what}
            row |= against_networks(made, prices, model, of, given.genotypes, rng)
            told["against_networks"].append(row)
            print(json.dumps(row), flush=True)
            write_json(given.json, told | {"cores": os.cpu_count(), "environment": environment()})


if __name__ == "__main__":
    main()
