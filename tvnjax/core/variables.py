"""The kinds of state a model holds, told apart by variable type rather than by name."""

from flax import nnx


class ArchParam(nnx.Variable):
    """Logits of architecture choices (``alphas``).

    Not a subclass of ``nnx.Param``: a filter for weights must never match a logit.
    """
