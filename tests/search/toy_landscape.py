"""A landscape whose optimum is known, as a search task: nothing is trained."""

from tvnjax.search.base import WAIT, Evaluation, SearchTask, Verdict
from tvnjax.spaces.tvn.relaxed import OperatorChoices
from tvnjax.spaces.tvn.search_space import space_at_plan
from tvnjax.spaces.tvn.shapes import BlockPlan, Plan

SPACE = space_at_plan(Plan(blocks=(BlockPlan(), BlockPlan(filters=64))), OperatorChoices())
_TARGET = {"spatial_type": "depth", "spatial_kernel": 5, "temporal_kernel": 3, "expand": 2, "skip": True}


def closeness(genotype):
    """1 for the planted network, less for every gene that differs."""
    genes = [getattr(block, gene) == value for block in genotype.blocks for gene, value in _TARGET.items()]
    return sum(genes) / len(genes)


def toy_task(part_of=lambda top1, part: top1, **options):
    """Every network is feasible; ``part_of`` says what a part of the training shows of it."""

    def evaluate(genotype, seed, part=1.0):
        top1 = part_of(closeness(genotype), part)
        return Evaluation(top1=top1, top5=top1, compile_seconds=0.25, seconds=1.0 * part)

    def check(genotype):
        return Verdict(predicted_ms=1.0, latency_ms=1.0, feasible=True, seconds=0.5), 0.0

    return SearchTask(space=SPACE, budget_ms=1.0, check=check, evaluate=evaluate, clocked=False, **options)


class Counted:
    """Stops a strategy after a number of proposals."""

    def __init__(self, strategy, count):
        self.strategy, self.left, self.name = strategy, count, strategy.name

    def ask(self):
        asked = self.strategy.ask() if self.left > 0 else None
        self.left -= asked is not WAIT
        return asked

    def tell(self, candidate):
        self.strategy.tell(candidate)
