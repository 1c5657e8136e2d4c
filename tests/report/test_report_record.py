import json
from pathlib import Path
from typing import Any

import pytest

from tests.report.fabricated_run import edit_results, make_run
from tvnjax.core.errors import InvalidInputError
from tvnjax.report.record import best_of, number, read_run


@pytest.fixture
def directory(tmp_path: Path) -> Path:
    return make_run(tmp_path / "run", strategies=("random",), candidates=20)


def test_a_truncated_last_line_is_passed_over(directory: Path) -> None:
    whole = len(read_run(directory).events)
    log = directory / "events.jsonl"
    log.write_bytes(log.read_bytes() + '{"event": "candidate", "id": "é'.encode()[:-1])
    record = read_run(directory)
    assert (len(record.events), record.unread_lines) == (whole, 1)


def test_unknown_and_malformed_events_are_tolerated(directory: Path) -> None:
    log = directory / "events.jsonl"
    odd = ['{"event": "weather", "rain": true}', "[1, 2]", "", '{"event": "candidate", "strategy": 3, "seed": {}}']
    log.write_text(log.read_text(encoding="utf-8") + "\n".join(odd) + "\n", encoding="utf-8")
    record = read_run(directory)
    assert record.unread_lines == 1
    assert len(record.select("weather")) == 1
    assert record.runs("candidate") == [("random", 0)]


def test_python_nan_in_json_is_a_missing_number(directory: Path) -> None:
    edit_results(directory, top5=float("nan"))
    record = read_run(directory)
    assert record.results[0].top5 is None
    assert number({"loss": float("inf")}, "loss") is None
    assert number({"loss": True}, "loss") is None


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"top1": 71.2}, r"top1 is a share from 0 to 1; .*strategy 0 has 71\.2: divide percentages by 100"),
        ({"latency_ms": "fast"}, r"latency_ms is a number that is not negative, or null; .* has 'fast'"),
        ({"seconds": -1}, r"seconds is a number that is not negative"),
        ({"seed": "a"}, r"a strategy's seed is a whole number; .* \(random\) has 'a'"),
        ({"name": ""}, r"a strategy's result has a name"),
        ({"genotype": {"blocks": []}}, r"strategy 0, genotype: genotype needs the gene 'image_size'"),
    ],
)
def test_a_broken_result_is_refused_in_one_line(directory: Path, changes: dict[str, Any], message: str) -> None:
    edit_results(directory, **changes)
    with pytest.raises(InvalidInputError, match=message) as caught:
        read_run(directory)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ('{"strategies": [}', r"results\.json is JSON; line 1: "),
        ("[]", r"results\.json holds a JSON object; got list"),
        ("{}", r"lists at least one strategy under 'strategies'; got None"),
        ('{"strategies": [3]}', r"a strategy's result is a JSON object; .*strategy 0 is 3"),
    ],
)
def test_a_broken_results_file_is_refused(directory: Path, text: str, message: str) -> None:
    (directory / "results.json").write_text(text, encoding="utf-8")
    with pytest.raises(InvalidInputError, match=message):
        read_run(directory)


def test_the_network_shown_keeps_the_budget(directory: Path) -> None:
    entry = json.loads((directory / "results.json").read_text(encoding="utf-8"))["strategies"][0]
    over = entry | {"seed": 1, "top1": 0.99, "latency_ms": 7.0}
    failed = entry | {"seed": 2, "top1": None}
    edit_results(directory, top1=0.6)
    results = json.loads((directory / "results.json").read_text(encoding="utf-8"))
    results["strategies"] += [over, failed]
    (directory / "results.json").write_text(json.dumps(results), encoding="utf-8")
    best = best_of(read_run(directory).results)
    assert best is not None and best.seed == 0
