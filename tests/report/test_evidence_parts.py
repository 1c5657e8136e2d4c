"""The report says who was proposed, who went on, and which genes of the likeliest network were not kept."""

import json
from pathlib import Path

from tests.report.fabricated_run import make_run
from tvnjax.report.document import Paragraph, Table
from tvnjax.report.evidence_parts import evidence
from tvnjax.report.quantities import MISSING
from tvnjax.report.record import read_run

WHERE = {"strategy": "differentiable", "seed": 0}


def network(name, origin, top1):
    return {"id": name, "plan": "p", "origin": origin, "predicted_ms": 2.0, "top1": top1, "loss": 1.0}


def candidate(name, part, top1):
    told = {"event": "candidate", **WHERE, "id": name, "scoring": "trained", "part": part, "top1": top1, "top5": 1.0}
    return told | {"latency_ms": 2.0, "predicted_ms": 2.0, "feasible": True, "charged_s": 1.0, "fitness": top1 + 1}


def parts_of(tmp_path: Path, *events):
    directory = make_run(tmp_path / "run", strategies=("differentiable",), blocks=1)
    file = directory / "events.jsonl"
    kept = [line for line in file.read_text().splitlines() if json.loads(line)["event"] != "candidate"]
    lines = [json.dumps({"seq": 10_000 + i, "time": 0.0} | event) for i, event in enumerate(events)]
    file.write_text("\n".join(kept + lines) + "\n")
    return evidence(read_run(directory), "differentiable", 0)


def texts(parts) -> str:
    return " ".join(part.text for part in parts if isinstance(part, Paragraph))


def test_every_origin_is_counted_on_its_way(tmp_path):
    pool = [network("a", "likeliest", 0.6), network("b", "drawn", 0.5), network("c", "drawn", 0.7)]
    events = [{"event": "ranked", **WHERE, "networks": pool}, candidate("a", 1 / 3, 0.3), candidate("c", 1 / 3, 0.4)]
    events += [candidate("c", 1.0, 0.8), {"event": "changed_genes", **WHERE, "predicted_ms": 2.5, "genes": {}}]
    events.append({"event": "passed_over", **WHERE, "networks": {"predicted over": 2, "again": 1}, "spread": 0.015})
    parts = parts_of(tmp_path, *events)
    (table,) = [part for part in parts if isinstance(part, Table)]
    rows = {row[0].text: [cell.text for cell in row[1:]] for row in table.rows}
    assert rows["likeliest of a plan"] == ["1", "60.0", "1", "0", MISSING]
    assert rows["drawn from the relaxed space"] == ["2", "70.0", "1", "1", "80.0"]
    assert rows["mutations of those of best rank"][0] == "0"
    assert "Passed over before the race: 2 predicted over and 1 again." in texts(parts)
    assert "moved by 1.5 %" in texts(parts)
    assert "The network found is the one the relaxed space tends to" in texts(parts)


def test_genes_that_were_not_kept_are_listed_with_both_values(tmp_path):
    genes = {"('block', 0, 'filters')": ["16", "8"], "('block', 1, 'skip')": ["False", "True"]}
    ranked = {"event": "ranked", **WHERE, "networks": [network("a", "likeliest", 0.6)]}
    page = texts(parts_of(tmp_path, ranked, {"event": "changed_genes", **WHERE, "predicted_ms": 2.5, "genes": genes}))
    assert "(predicted 2.50 ms)" in page and "filters') 16 → 8 and " in page and "skip') False → True" in page


def test_a_log_that_holds_something_else_is_no_crash(tmp_path):
    events = []
    for networks in (None, 3, [3, None], [{}], [{"id": {}, "top1": "x", "origin": []}]):
        events.append({"event": "ranked", **WHERE, "networks": networks})
        events.append({"event": "passed_over", **WHERE, "networks": networks, "spread": networks})
        events.append({"event": "changed_genes", **WHERE, "genes": networks, "predicted_ms": networks})
    assert parts_of(tmp_path, *events)
