"""Steps are sent without waiting: the host is done with a window long before the device is."""

import jax
import numpy as np
import pytest

from tests.trainers.test_supernet_trainer import LARGE, batches, make
from tvnjax.trainers.programs import Programs


@pytest.mark.parametrize("fused", [False, pytest.param(True, marks=pytest.mark.slow)])
def test_no_step_waits_for_the_one_before(fused):
    trainer, stream = make(mode="concrete", programs=Programs(fused=fused)), batches(0, 256)
    train, val = jax.device_put(next(stream)), jax.device_put(next(stream))
    arguments = (LARGE, [train], [val], [0.9], [0.5])
    state = trainer.search_steps(trainer.init(), *arguments)[0]
    jax.block_until_ready(state)
    losses = []
    with jax.transfer_guard("disallow"):
        for _ in range(12):
            state, loss, *_ = trainer.search_steps(state, *arguments)
            losses.append(loss)
    waiting = [not loss.is_ready() for loss in losses]
    assert waiting[-1] and sum(waiting) >= 2, "they are sent faster than they are worked on"
    assert np.isfinite(jax.device_get(losses)).all()
