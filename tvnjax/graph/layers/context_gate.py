"""A gate of channels."""

import dataclasses

from tvnjax.graph.layer import GATE_SIGN, Layer, Sign, Words


@dataclasses.dataclass(frozen=True, kw_only=True)
class ContextGate(Layer):
    """One gate a clip: mean over time and space, dense, sigmoid."""

    @property
    def params(self) -> int:
        return self.macs + self.in_shape.c

    @property
    def macs(self) -> int:
        return self.in_shape.c**2

    def __str__(self) -> str:
        return "gate"

    @property
    def family(self) -> str:
        return "gate"

    @property
    def words(self) -> Words:
        return Words("context gate", act="gate")

    @property
    def sign(self) -> Sign:
        return GATE_SIGN
