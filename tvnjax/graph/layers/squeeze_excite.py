"""Gates of channels from a hidden layer."""

import dataclasses

from tvnjax.graph.layer import GATE_SIGN, CostFeatures, Layer, Sign, Words


@dataclasses.dataclass(frozen=True, kw_only=True)
class SqueezeExcite(Layer):
    """One gate a clip: mean over time and space, dense to ``hidden``, relu, dense back, sigmoid.

    Networks other than TVNs vary it: another activation of the hidden layer, a ``hsigmoid`` gate, an activation behind
    the gated values, or a gate for each frame from that frame's mean.
    """

    hidden: int
    hidden_act: str = "relu"
    gate: str = "sigmoid"
    act: str | None = None
    per_frame: bool = False

    @property
    def params(self) -> int:
        return 2 * self.in_shape.c * self.hidden + self.hidden + self.in_shape.c

    @property
    def macs(self) -> int:
        return 2 * self.in_shape.c * self.hidden * (self.in_shape.t if self.per_frame else 1)

    def __str__(self) -> str:
        plain = (self.hidden_act, self.gate) == ("relu", "sigmoid")
        kind = "" if plain else f"({self.hidden_act},{self.gate})"
        tail = f"+{self.act}" if self.act else ""
        return f"se{self.hidden}{kind}{'/frame' if self.per_frame else ''}{tail}"

    @property
    def family(self) -> str:
        return "gate"

    @property
    def label(self) -> str:
        return f"se {self.hidden}" + (" a frame" if self.per_frame else "")

    @property
    def words(self) -> Words:
        return Words(f"squeeze-excite, {self.hidden} hidden", act="gate")

    @property
    def sign(self) -> Sign:
        return GATE_SIGN

    @property
    def cost(self) -> CostFeatures:
        return CostFeatures(hidden=self.hidden)
