"""Loss and accuracy."""

import jax
import jax.numpy as jnp
import optax
from jax import Array


def cross_entropy(logits: Array, labels: Array, *, smoothing: float = 0.0) -> Array:
    """Mean cross-entropy of ``logits [B, classes]`` against integer ``labels [B]``."""
    classes = logits.shape[-1]
    targets = optax.smooth_labels(jax.nn.one_hot(labels, classes), smoothing)
    return optax.softmax_cross_entropy(logits, targets).mean()


def count_correct(logits: Array, labels: Array, weights: Array) -> dict[str, Array]:
    """Sums over a batch: clips, those right at top-1 and at top-5, and the cross-entropy; ``weights [B]`` 0 is padding.

    With fewer than five classes top-5 counts every clip.
    """
    label_logit = jnp.take_along_axis(logits, labels[:, None], axis=-1)
    # Ties count against: a network that says the same of every class knows none of them.
    rank = (logits >= label_logit).sum(-1) - 1
    loss = optax.softmax_cross_entropy_with_integer_labels(logits, labels)
    return {
        "clips": weights.sum(),
        "top1": (weights * (rank < 1)).sum(),
        "top5": (weights * (rank < min(5, logits.shape[-1]))).sum(),
        "loss": (weights * loss).sum(),
    }
