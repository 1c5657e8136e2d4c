"""One trained factor."""

import dataclasses

from tvnjax.graph.layer import GATE_SIGN, Layer, Sign, Words


@dataclasses.dataclass(frozen=True, kw_only=True)
class Scale(Layer):
    """The input times one trained scalar that starts at 0, so that a unit starts as its shortcut (ReZero; MoViNet)."""

    @property
    def params(self) -> int:
        return 1

    def __str__(self) -> str:
        return "rezero"

    @property
    def family(self) -> str:
        return "scalar"

    @property
    def label(self) -> str:
        return "× scalar"

    @property
    def words(self) -> Words:
        return Words("scalar from 0")

    @property
    def sign(self) -> Sign:
        return GATE_SIGN
