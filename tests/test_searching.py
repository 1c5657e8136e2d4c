"""What the searches of a run are given."""

import dataclasses
from types import SimpleNamespace
from typing import Any

import pytest

from tvnjax.core.monitor import Silent
from tvnjax.running import searching
from tvnjax.running.config import RunConfig
from tvnjax.search.base import SearchResult
from tvnjax.search.own import Strategy


class Own(Strategy):
    def ask(self):
        return None

    def tell(self, candidate):
        pass


@pytest.mark.parametrize(
    ("options", "limit"),
    [({}, 100.0), ({"baseline_ratio": 5.0}, 500.0), ({"baseline_seconds": 40.0}, 70.0)],
)
def test_baselines_get_the_gradient_searchs_seconds(options, limit, monkeypatch):
    """All of them, the latency table's 30 included, times the ratio; or seconds of their own beside the table's."""
    result = SearchResult(
        name="differentiable",
        seed=0,
        candidates=(),
        seconds=100.0,
        compile_seconds=0.0,
        evaluations=0,
        infeasible=0,
        best=None,
        seconds_by_kind={},
    )
    seen: list[tuple[dict[str, float], float | None, list[str]]] = []

    def ask(
        problem: Any, task: Any, table: dict[str, float], limit_s: float | None, pool: Any, stages: Any, asking: Any
    ) -> list[SearchResult]:
        seen.append((table, limit_s, [one.name for one in asking]))
        return [dataclasses.replace(result, name="evolution")]

    monkeypatch.setattr(searching, "_differentiable", lambda *_: result)
    monkeypatch.setattr(searching, "_ask_for_evaluations", ask)
    config = RunConfig(strategies=("differentiable", "evolution", Own), **options)
    stub: Any = SimpleNamespace(config=config, seconds=30.0, clips=None, monitor=Silent())
    found = searching.search_all(stub, stub, stub, stub, stub)
    assert [one.name for one in found] == ["differentiable", "evolution"]
    assert seen == [({"table": 30.0}, limit, ["evolution", "Own"])]
