"""The search step of the plan of a configuration whose blocks meet the most frames and pixels."""

from collections.abc import Callable
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from tvnjax.data.batch_fields import INDEX, LABEL, STRIDE
from tvnjax.data.device_crop import plan_view
from tvnjax.running.config import PRESETS, RunConfig
from tvnjax.running.problem import relaxation_of, space_of
from tvnjax.trainers.programs import Programs, inline
from tvnjax.trainers.supernet_trainer import SupernetTrainer

CLASSES = 400


def roomiest(config: RunConfig, classes: int, programs: Programs) -> tuple[SupernetTrainer, Any]:
    """The trainer of a configuration's search, and the plan; a budget of 1e12 multiply-adds stands for milliseconds."""
    relaxation: Any = relaxation_of(space_of(config))
    expected = relaxation.expected(lambda layer: float(layer.macs), classes)

    def view(plan: Any) -> Any:
        options: Any = {"num_frames": plan.num_frames, "image_size": plan.image_size, "side": config.reads.image_size}
        return partial(plan_view, flip=True, **options)

    def cost(weights: Any, shapes: Any) -> Any:
        return jnp.stack([expected(weights, shapes) / 1e12])

    trainer = SupernetTrainer(relaxation, classes, view, cost, 1, config.search.training(), seed=0, programs=programs)
    return trainer, relaxation.shapes.roomiest()


def batch_of(config: RunConfig, count: int, classes: int) -> dict[str, np.ndarray]:
    """Clips of noise as a search streams them, with a margin of 8 pixels for crops."""
    reads, rng = config.reads, np.random.default_rng(0)
    side = reads.image_size + 16
    rows = np.zeros((count, 7), np.int32)
    rows[:, INDEX], rows[:, STRIDE], rows[:, LABEL] = np.arange(count), 1, rng.integers(0, classes, count)
    return {"rows": rows, "clips": rng.integers(0, 256, (count, reads.window, side, 3 * side), np.uint8)}


def search_step(preset: str) -> tuple[Callable[..., Any], tuple[Any, ...]]:
    """The step of the weights, with the gradient for the logits behind it, as a fused search of a preset sends it to an
    accelerator, and the shapes of its arguments: nothing is computed."""
    config = PRESETS[preset][1]
    trainer, plan = roomiest(config, CLASSES, _OfGpu(fused=True))
    state, supernet = trainer.init(), trainer.supernet(plan)

    def shape(size: tuple[int, ...], dtype: Any = np.float32) -> Any:
        return jax.ShapeDtypeStruct(size, dtype)

    batch = batch_of(config, 1, CLASSES)
    clips = {name: shape((config.search.batch_size, *array.shape[1:]), array.dtype) for name, array in batch.items()}
    mask = shape(supernet.mask.shape, bool)
    function = partial(trainer._steps.search_step, inline, supernet)
    return function, (state, mask, clips, clips, shape((4,)), shape((len(supernet.lengths),)))


class _OfGpu(Programs):
    """Makes everything for a GPU and runs nothing."""

    platform = "cuda"

    def run(self, name: Any, function: Callable, *args: Any, donate: tuple[int, ...] = ()) -> Any:
        del name, donate
        return jax.eval_shape(function, *args)
