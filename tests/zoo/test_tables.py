"""The paper's comparisons from the command line."""

import csv
import io
import json

import pytest

from tvnjax.cli import main, tables
from tvnjax.core.errors import InvalidInputError
from tvnjax.spaces.tvn.lowering import lower
from tvnjax.spaces.tvn.scaling import scale_genotype
from tvnjax.training.saved import SavedNetwork, write_network
from tvnjax.zoo.paper_tables import paper_tables, read_published
from tvnjax.zoo.registry import ZOO
from tvnjax.zoo.trained import TrainedNetwork
from tvnjax.zoo.tvn import TVN1


def written(tmp_path, text):
    path = tmp_path / "published.csv"
    path.write_text(text, encoding="utf-8")
    return path


def test_counts_are_those_of_the_zoo_and_of_scaled_genotypes(capsys):
    assert main(["tables", "--format", "json"]) == 0
    rows = {(row["table"], row["network"]): row for row in json.loads(capsys.readouterr().out)}
    assert rows["found", "tvn1"]["params"] == 26_414_721 and rows["found", "tvn1"]["macs"] == 4_326_160_640
    assert rows["found", "r2plus1d-18"]["params"] == ZOO["r2plus1d-18"].network().params
    deeper = lower(scale_genotype(TVN1, depth=2), 339)
    assert rows["scaling", "tvn1-deeper"]["macs"] == deeper.macs
    assert rows["frames", "tvn1-16-frames"]["published_cpu_ms"] == 200
    # Squeeze-excite has weights of its own; hard-swish has none.
    assert rows["parts", "tvn1-no-squeeze-excite"]["params"] < rows["parts", "tvn1"]["params"]
    assert rows["parts", "tvn1-hard-swish"]["params"] == rows["parts", "tvn1"]["params"]
    assert len({row.name for table in paper_tables() for row in table.rows if table.key == "parts"}) == 5


def test_no_figure_is_shortened_in_a_narrow_terminal(capsys, monkeypatch):
    monkeypatch.setenv("COLUMNS", "40")
    assert main(["tables", "found"]) == 0
    out = capsys.readouterr().out
    assert "109,438,487" in out and "34,613,795,640" in out and "…" not in out
    assert "come from no reading" in out and "padding taps counted" in out


def test_csv_goes_to_standard_output_alone(capsys):
    assert main(["tables", "frames", "--format", "csv"]) == 0
    captured = capsys.readouterr()
    rows = list(csv.DictReader(io.StringIO(captured.out)))
    assert [row["num_frames"] for row in rows] == ["2", "4", "8", "16"]
    assert "multiply-adds" in captured.err


def test_figures_typed_in_are_shown_beside_ours(tmp_path, capsys):
    text = "\ufefftable,network,top1,data\r\nfound,tvn3,25.5,set A\r\nfound,x3d-s,,\r\n"
    assert main(["tables", "found", "--format", "markdown", "--published", str(written(tmp_path, text))]) == 0
    out = capsys.readouterr().out
    assert "25.5 % set A" in out and "| x3d-s |" in out and "37" in out


def trained_run(folder, name, scores):
    entry = ZOO[name]
    trained = TrainedNetwork(entry=entry, classes=("a", "b"))
    saved = SavedNetwork(trained=trained, weights=folder / "checkpoints" / name)
    folder.mkdir()
    write_network(folder, saved)
    (folder / "results.json").write_text(json.dumps({"scores": scores, "data": {"name": "clips"}}))
    return str(folder)


def test_own_results_stand_beside_the_network_they_are_of(tmp_path, capsys):
    mine = trained_run(tmp_path / "mine", "tvn1", {"test": {"top1": 0.754}})
    assert main(["tables", "found", "scaling", "--format", "json", "--trained", mine]) == 0
    rows = json.loads(capsys.readouterr().out)
    assert [(row["table"], row["network"]) for row in rows if row["top1"]] == [("found", "tvn1"), ("scaling", "tvn1")]
    assert rows[0]["top1"] == pytest.approx(75.4) and rows[0]["data"] == "clips"
    assert main(["tables", "mobile", "--trained", mine]) == 2
    assert main(["tables", "found", "--trained", trained_run(tmp_path / "no", "tvn1", {})]) == 2


def test_each_network_is_measured_once_whatever_tables_it_is_in(capsys, monkeypatch):
    timed = []

    def milliseconds(networks, options, repeats):
        timed.extend(networks)
        return [float(len(timed))]

    monkeypatch.setattr(tables, "networks_ms", milliseconds)
    assert main(["tables", "found", "frames", "--measure", "--repeats", "5", "--format", "json"]) == 0
    captured = capsys.readouterr()
    rows = {(row["table"], row["network"]): row["latency_ms"] for row in json.loads(captured.out)}
    assert len(timed) == 10 and rows["found", "tvn1"] == rows["frames", "tvn1-2-frames"] == 1.0
    assert rows["frames", "tvn1-4-frames"] == 8.0 and "the fastest of repeated calls" in captured.err


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", "columns are"),
        ("table,network,ms\nfound,tvn1,3\n", "columns are"),
        ("table,network,top1\nfond,tvn1,3\n", "did you mean 'found'"),
        ("table,network,top1\nfound,tvn9,3\n", "rows of found are"),
        ("table,network,top1\nfound,tvn1,130\n", "in per cent"),
        ("table,network,cpu_ms\nfound,tvn1,-3\n", "above 0"),
        ("table,network,cpu_ms\nfound,tvn1,nan\n", "above 0"),
        ("table,network,cpu_ms\nfound,tvn1\n", "3 cells"),
        ('table,network,cpu_ms\nfound,"tvn1,3\n', "well-formed"),
    ],
)
def test_a_wrong_file_of_figures_is_refused_in_one_line(tmp_path, text, said):
    with pytest.raises(InvalidInputError, match=said):
        read_published(written(tmp_path, text), paper_tables())


@pytest.mark.parametrize("argv", [["fond"], ["--repeats", "1"], ["--published", "none.csv"], ["--trained", "nowhere"]])
def test_wrong_options_end_with_status_2(argv, capsys):
    assert main(["tables", *argv]) == 2
    assert capsys.readouterr().err.startswith("error: ")
