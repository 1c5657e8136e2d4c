"""Kinds of operators with their kernels: what one candidate of an axis is, and how it acts on widths and sizes."""

from collections.abc import Sequence

from tvnjax.spaces.tvn.genotype import POOLS
from tvnjax.spaces.tvn.own_operators import OwnOperator

Operator = tuple[str, int]
"""A kind (``std``, ``1std``, ``depth``, ``1d``, ``maxpool``, ``avgpool``, ``identity``, or an own one) and its
kernel."""

IDENTITY: Operator = ("identity", 1)


def operator_of(kind: str, kernel: int) -> Operator:
    """The operator that two genes are: a kernel of 1 is the identity whatever the kind."""
    return IDENTITY if kernel == 1 else (kind, kernel)


def bypasses(operator: Operator) -> bool:
    """Whether an operator keeps the channels it receives."""
    return operator == IDENTITY or operator[0] in POOLS or isinstance(operator[0], OwnOperator)


def can_stride(operator: Operator) -> bool:
    """Whether a block with the operator strides along its axis."""
    kind = operator[0]
    return kind.strides if isinstance(kind, OwnOperator) else operator != IDENTITY


def is_free(operator: Operator) -> bool:
    """Whether an operator has no parameters."""
    kind = operator[0]
    return kind.free if isinstance(kind, OwnOperator) else bypasses(operator)


def listed(kinds: Sequence[str], kernels: Sequence[int]) -> tuple[Operator, ...]:
    """The candidates that kinds and kernels make, each once: an own operator without a kernel stands once, with the
    least of them."""
    larger = sorted(k for k in kernels if k > 1)
    identity = (IDENTITY,) if 1 in kernels else ()
    return identity + tuple((kind, k) for kind in kinds for k in (larger[:1] if _stands_once(kind) else larger))


def named(operator: Operator) -> str:
    """An operator in a word or two: ``std 3``, ``identity``, ``Shift``."""
    kind, kernel = operator
    return kind if operator == IDENTITY or _stands_once(kind) else f"{kind} {kernel}"


def among(operator: Operator, candidates: Sequence[Operator]) -> int:
    """Index of the candidate that an operator is.

    Raises:
        ValueError: it is none of them.
    """
    if _stands_once(operator[0]) and operator not in candidates:
        return [kind for kind, _ in candidates].index(operator[0])
    return candidates.index(operator)


def _stands_once(kind: str) -> bool:
    return isinstance(kind, OwnOperator) and not kind.sized
