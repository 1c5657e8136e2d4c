"""What was skipped, held or widened stands in the report in the words the terminal has."""

import json
from pathlib import Path

from tests.report.fabricated_run import edit_results, make_run
from tvnjax.report.page import write_report

SAID = [
    "6 of 120 clips (5%) of spin skipped: 4 cannot be decoded after frame 3: moov atom not found (as 'a|b.mp4'); "
    "2 no such file (as 'c.mp4'); by split: 5 train, 1 test",
    "3 of 114 clips of spin have a labelled span shorter than the window: its last frame is repeated",
    "spin: rows that stand twice: 2 (first '<b>.mp4')",
]


def data_section(directory: Path, **changes: object) -> str:
    results = edit_results(directory)
    results["data"] |= changes
    (directory / "results.json").write_text(json.dumps(results), encoding="utf-8")
    write_report(directory)
    markdown = (directory / "report.md").read_text(encoding="utf-8")
    return markdown[markdown.index("## Data") : markdown.index("## Environment")]


def test_counts_reasons_and_notes_are_in_both_reports(tmp_path: Path) -> None:
    skipped = [{"path": f"{i}.mp4", "reason": "no such file", "label": "left", "split": "train"} for i in range(6)]
    make_run(tmp_path)
    told = data_section(tmp_path, said=SAID, skipped=skipped)
    page = (tmp_path / "report.html").read_text(encoding="utf-8")
    for words in (
        "6 of 120 clips (5%)",
        "4 cannot be decoded",
        "2 no such file",
        "its last frame is repeated",
        "5 train",
    ):
        assert words in told and words in page
    assert "rows that stand twice: 2" in told and "rows that stand twice: 2" in page and "<b>" not in page + told
    assert "5.mp4" in told, "each that was skipped"
    assert "labelled spans were shorter" not in told, "nothing is said twice"


def test_a_set_without_losses_says_so_and_runs_of_before_keep_their_words(tmp_path: Path) -> None:
    make_run(tmp_path)
    assert "Every clip that was named is there" in data_section(tmp_path, said=[], skipped=[])
    before = edit_results(tmp_path)["data"]
    del before["said"]
    results = edit_results(tmp_path)
    results["data"] = before | {"skipped": [{"path": "a.mp4", "reason": "no such file"}], "widened": 12}
    (tmp_path / "results.json").write_text(json.dumps(results), encoding="utf-8")
    write_report(tmp_path)
    told = (tmp_path / "report.md").read_text(encoding="utf-8")
    assert "1 clip skipped." in told and "12 labelled spans were shorter" in told
