"""The filter all strategies propose through: counted costs first, then the measured runtime."""

import dataclasses
import time
from collections.abc import Callable, Mapping, MutableMapping

from tvnjax.graph import Network
from tvnjax.latency.cost_model import CostModel
from tvnjax.latency.measure import DriftError, Measurement, ReferenceNetwork, measure_network
from tvnjax.latency.runtimes import Runtime
from tvnjax.latency.timer import Timer
from tvnjax.search.base import Verdict
from tvnjax.search.budget import Budget
from tvnjax.spaces.base import Genotype


@dataclasses.dataclass(kw_only=True)
class RuntimeFilter:
    """Refuses a network that is over one of the budgets; what counts for the latency is what was measured.

    A network predicted to be over by more than ``margin`` (the error nine in ten predictions stay within) is refused
    unmeasured; every other one is compiled and timed. Each network is measured once, whichever strategy proposes it;
    what that took is said again to every further one, so that each is charged for it.
    """

    budget: Budget
    """With its milliseconds decided."""
    model: CostModel
    margin: float
    lower: Callable[[Genotype], Network]
    runtime: Runtime
    timer: Timer
    reference: ReferenceNetwork | None = None
    """Timed in turns with every network, so that a busy moment refuses none and lets none through."""
    frozen: Mapping[str, float] | None = None
    """Milliseconds by the network's id that stand for measuring; a network that is not among them takes what is
    predicted. ``None``: networks are measured."""
    measured: MutableMapping[str, tuple[Measurement, float]] = dataclasses.field(default_factory=dict)
    """By the network's id: what was measured, and the seconds it took."""

    def screen(self, genotype: Genotype) -> Verdict:
        """The verdict of what is counted and predicted alone; a network predicted over the budget is refused."""
        network = self.lower(genotype)
        predicted, budget_ms = self.model.predict(network), self.budget.ms
        assert budget_ms is not None, "the budget's milliseconds are decided before the search"
        reason = self.budget.exceeded(network)
        if reason is None and predicted > budget_ms:
            reason = f"predicted {predicted:.3g} ms, over {budget_ms:.3g}"
        return Verdict(predicted_ms=predicted, latency_ms=None, feasible=reason is None, reason=reason)

    def check(self, genotype: Genotype) -> tuple[Verdict, float]:
        """The verdict, and the compile seconds it took."""
        network = self.lower(genotype)
        predicted, budget_ms = self.model.predict(network), self.budget.ms
        assert budget_ms is not None, "the budget's milliseconds are decided before the search"
        reason = self.budget.exceeded(network)
        if reason is None and predicted > budget_ms * (1 + self.margin):
            reason = f"predicted {predicted:.3g} ms, over {budget_ms:.3g} by more than the margin {self.margin:.0%}"
        if reason is not None:
            return Verdict(predicted_ms=predicted, latency_ms=None, feasible=False, reason=reason), 0.0
        identity = genotype.id
        if self.frozen is not None:
            return self._decided(predicted, self.frozen.get(identity, predicted)), 0.0
        known = identity in self.measured
        if not known:
            measured = self._measure(network, predicted)
            if isinstance(measured, Verdict):
                return measured, 0.0
            self.measured[identity] = measured
        measurement, seconds = self.measured[identity]
        compiling = measurement.compile_seconds
        verdict = self._decided(predicted, measurement.latency_ms, "measured")
        verdict = dataclasses.replace(verdict, seconds=seconds, compile_seconds=compiling, known=known)
        return verdict, 0.0 if known else compiling

    def confirm(self, genotype: Genotype) -> tuple[Verdict, float]:
        """The verdict of measuring a network anew, whatever was measured of it before, and the compile seconds."""
        network = self.lower(genotype)
        predicted = self.model.predict(network)
        measured = self._measure(network, predicted)
        if isinstance(measured, Verdict):
            return measured, 0.0
        measurement, seconds = measured
        verdict = self._decided(predicted, measurement.latency_ms, "measured again")
        compiling = measurement.compile_seconds
        return dataclasses.replace(verdict, seconds=seconds, compile_seconds=compiling), compiling

    def _measure(self, network: Network, predicted: float) -> tuple[Measurement, float] | Verdict:
        """What was measured and the seconds it took, or a refusal."""
        start = time.monotonic()
        try:
            measurement = measure_network(network, self.runtime, self.timer, self.reference)
        except DriftError as error:
            # A busy minute is no reason to end a search: the proposal is refused, and may be made again.
            seconds = time.monotonic() - start
            refused = {"feasible": False, "reason": f"not measured: {error}", "seconds": seconds}
            return Verdict(predicted_ms=predicted, latency_ms=None, **refused)
        return measurement, time.monotonic() - start

    def _decided(self, predicted: float, latency: float, how: str = "by the table") -> Verdict:
        assert self.budget.ms is not None
        feasible = latency <= self.budget.ms
        reason = None if feasible else f"{how} {latency:.3g} ms, over {self.budget.ms:.3g}"
        return Verdict(predicted_ms=predicted, latency_ms=latency, feasible=feasible, reason=reason)
