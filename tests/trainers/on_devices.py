"""Run by ``test_several_devices`` in a process of eight CPU devices: losses of some steps on 1, 4 and 8 of them."""

import json
import sys

import jax
import numpy as np

from tests.trainers.test_supernet_trainer import LARGE, SMALL, batches, make, masks
from tests.trainers.test_trainer import GENOTYPE
from tests.trainers.test_trainer import batches as child_batches
from tvnjax.spaces.tvn.lowering import lower
from tvnjax.trainers.programs import Programs
from tvnjax.trainers.trainer import ChildTrainer, Training


def losses(count, fused):
    programs = Programs(jax.devices()[:count], fused=fused)
    trainer = make(mode="concrete", programs=programs, arch_learning_rate=0.02, learning_rate=0.005)
    stream, state, told = batches(0, 16), trainer.init(), []
    for number in range(30):
        plan = (SMALL, LARGE)[number % 2]
        train, val = programs.placement.split(next(stream)), programs.placement.split(next(stream))
        progress = [max(number - 10, 0) / 20]
        if number < 10:
            state, loss = trainer.weight_steps(state, plan, [train], [1.0], progress)
            told.append(float(loss))
        else:
            state, loss, val_loss, costs = trainer.search_steps(state, plan, [train], [val], [0.9], progress)
            told += [float(loss), float(val_loss), float(costs[0])]
        if number % 10 == 9:
            scored = [trainer.plan_losses(state, {plan: train}, 0.9, 0.5)[plan] for plan in (SMALL, LARGE)]
            last = np.array([row[max(row)] for row in scored], np.float32)
            told += [float(loss) for loss in last]
            state = trainer.shape_step(state, last, masks(SMALL, LARGE), 0.9, 0.5, rate=1.0, decay=0.1)
    told += [float(leaf.sum()) for leaf in jax.tree.leaves(jax.device_get(state.alphas))]
    everywhere = {len(leaf.sharding.device_set) for leaf in jax.tree.leaves(state)}
    assert everywhere == {count}, everywhere
    again = trainer.recalibrate(state, LARGE, trainer.weights(trainer.relaxed(LARGE), state, 1.0), [train])
    weights = trainer.weights(trainer.relaxed(LARGE), state, 1.0)
    told.append(trainer.score(state, LARGE, again, weights, [train]).loss)
    return told


def child(count):
    """Of a network trained from scratch: what it ends with, and its scores on 7 clips."""
    trainer = ChildTrainer(lower(GENOTYPE, 3), Training(steps=6, batch_size=8), 0, jax.devices()[:count])
    trained = trainer.train(child_batches(0))
    few = {name: array[:7] for name, array in next(child_batches(1)).items()}
    score = trainer.score(trained.state, [few])
    assert score.clips == 7
    return [trained.history[-1]["loss"], score.loss, score.top1]


if __name__ == "__main__":
    fused = sys.argv[1] == "fused"
    print(json.dumps({count: losses(count, fused) + child(count) for count in map(int, sys.argv[2:])}))
