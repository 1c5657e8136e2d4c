"""A whole search step of a preset's largest plan, as one function of shapes: nothing of it is computed."""

from collections.abc import Callable
from functools import partial
from typing import Any
from unittest import mock

CLASSES = 400


def search_step(preset: str) -> tuple[Callable[..., Any], tuple[Any, ...]]:
    """The step of weights and logits that a fused search of a preset sends to an accelerator, and the shapes of its
    arguments. Its plan is the one whose blocks meet the most frames and pixels, all of them as wide as can be; the
    budget is half of the uniform mean of multiply-adds, which stand for milliseconds."""
    import jax
    import jax.numpy as jnp
    import numpy as np

    from tvnjax.data.device_crop import plan_view
    from tvnjax.nn import convolution
    from tvnjax.running.config import PRESETS
    from tvnjax.running.problem import relaxation_of, space_of
    from tvnjax.trainers.programs import Programs, inline
    from tvnjax.trainers.supernet_trainer import SupernetTrainer

    class ShapesAlone(Programs):
        """Runs nothing."""

        def run(self, name: Any, function: Callable, *args: Any, donate: tuple[int, ...] = ()) -> Any:
            del name, donate
            return jax.eval_shape(function, *args)

    config = PRESETS[preset][1]
    relaxation: Any = relaxation_of(space_of(config))
    plan, search, reads = relaxation.shapes.roomiest(), config.search, config.reads
    expected = relaxation.expected(lambda layer: float(layer.macs), CLASSES)
    # The default device is this machine's; convolutions take the form of the accelerator's.
    with mock.patch.object(convolution, "_default_platform", lambda: "gpu"):
        trainer = SupernetTrainer(
            relaxation,
            CLASSES,
            lambda plan: partial(plan_view, image_size=plan.image_size),
            lambda weights, shapes: jnp.stack([expected(weights, shapes) / 1e12]),
            1,
            search.training(),
            seed=0,
            programs=ShapesAlone(fused=True),
        )
        state, supernet = trainer.init(), trainer.supernet(plan)
    # A loop over the parts of a batch, as on an accelerator.
    supernet._unroll = False

    def step(state: Any, mask: Any, train: Any, val: Any, settings: Any, parts: Any) -> Any:
        state, loss, val_loss, by_gene = trainer._steps.search_step(
            inline, supernet, state, mask, train, val, settings, parts
        )
        return *trainer._steps.logit_step(inline, state, mask, by_gene, settings), loss, val_loss

    def shape(size: tuple[int, ...], dtype: Any = np.float32) -> Any:
        return jax.ShapeDtypeStruct(size, dtype)

    side, count = reads.image_size, search.batch_size
    clips = {
        "clip": shape((count, reads.window, side, side, 3), np.uint8),
        "label": shape((count,), np.int32),
        "times": shape((count, plan.num_frames), np.int32),
    }
    mask = shape(supernet.mask.shape, bool)
    return step, (state, mask, clips, clips, shape((4,)), shape((len(supernet.lengths),)))
