"""``--json`` and ``--quiet`` of the commands that train, score, time and write networks."""

import json

import pytest

from tests.cli.told import json_of, said
from tests.grey_video import write_video
from tvnjax.cli import main
from tvnjax.spaces.tvn.genotype import Block, Genotype

DRAWN = ("--data", "motion", "--drawn-clips", "16", "--steps", "2", "--batch-size", "4")


@pytest.fixture(scope="module")
def genotype(tmp_path_factory):
    file = tmp_path_factory.mktemp("genotype") / "small.json"
    file.write_text(json.dumps(Genotype(image_size=8, num_frames=2, blocks=(Block(filters=8),)).to_json()))
    return file


@pytest.fixture(scope="module")
def trained(genotype, tmp_path_factory):
    out = tmp_path_factory.mktemp("runs") / "small"
    assert main(["train", str(genotype), *DRAWN, "--out", str(out), "--quiet"]) == 0
    return out


def test_a_training(genotype, tmp_path, capsys):
    out = tmp_path / "run"
    told = json_of(capsys, "train", genotype, *DRAWN, "--out", out, "--json")
    assert told.pop("run") == str(out) and told == json.loads((out / "results.json").read_text())
    shown, err = said(capsys, "train", genotype, *DRAWN, "--out", tmp_path / "other", "--quiet")
    assert shown.splitlines()[-1] == str(tmp_path / "other") and shown.startswith("val: top-1") and not err


def test_scores(trained, capsys):
    told = json_of(capsys, "evaluate", trained, "--json")
    (row,) = told["networks"]
    assert row["top1"] == json.loads((trained / "results.json").read_text())["scores"]["test"]["top1"]
    assert told["together"] is None and told["split"] == "test" and row["latency_ms"] is None
    shown, err = said(capsys, "evaluate", trained, "--quiet")
    assert shown.count("\n") == 1 and f"top-1 {row['top1']:.1%}" in shown and not err
    both = json_of(capsys, "ensemble", trained, trained, "--json", "--measure")
    latencies = [row["latency_ms"] for row in both["networks"]]
    assert both["together"]["latency_ms"] == pytest.approx(sum(latencies)) and min(latencies) > 0
    assert said(capsys, "ensemble", trained, trained, "--quiet")[0].count("\n") == 3


def test_timing(genotype, capsys):
    told = json_of(capsys, "measure", genotype, "--repeats", 30, "--json")
    assert told["networks"][0]["latency_ms"] > 0 and told["rules"]["counting"]
    shown, _ = said(capsys, "measure", genotype, "--repeats", 30, "--quiet")
    assert f"{told['networks'][0]['macs']:,}" in shown and told["rules"]["counting"] not in shown
    assert told["rules"]["counting"] in said(capsys, "measure", genotype, "--repeats", 30)[0]
    (row,) = json_of(capsys, "zoo", "tvn1", "--measure", "--repeats", 2, "--json", "--quiet")
    assert row["latency_ms"] > 0


def test_an_export(genotype, trained, tmp_path, capsys):
    command = ["export", genotype, "--checkpoint", trained / "checkpoints" / "small", "--to", "stablehlo"]
    told = json_of(capsys, *command, "--out", tmp_path / "a.stablehlo", "--json")
    assert told["path"] == str(tmp_path / "a.stablehlo") and 0 <= told["difference"] < 1e-3
    shown = said(capsys, *command, "--out", tmp_path / "b.stablehlo", "--quiet")
    assert shown == (f"{tmp_path / 'b.stablehlo'}\n", "")


def test_a_manifest(tmp_path, capsys):
    videos, lists = tmp_path / "videos", tmp_path / "lists"
    lists.mkdir()
    for split, groups in (("train", range(1, 5)), ("test", range(5, 7))):
        names = [f"{label}/v_{label}_g{group:02}_c01.avi" for label in ("Archery", "Bowling") for group in groups]
        number = {"A": " 1", "B": " 2"} if split == "train" else {"A": "", "B": ""}
        (lists / f"{split}list01.txt").write_text("".join(f"{name}{number[name[0]]}\n" for name in names))
        for name in names[1:] if split == "train" else names:
            write_video(videos / f"{name.removesuffix('.avi')}.mp4", 100)
    (lists / "classInd.txt").write_text("1 Archery\n2 Bowling\n")
    told = json_of(capsys, "manifest", "ucf101", lists, "--videos", videos, "--json")
    assert told["manifest"] == str(videos / "manifest.csv") and told["clips"] == sum(told["splits"].values()) == 11
    assert len(told["missing"]) == 1 and "Archery_g01" in told["missing"][0] and told["classes"] == 2
    shown = said(capsys, "manifest", "ucf101", lists, "--videos", videos, "--force", "--quiet")
    assert shown == (f"{videos / 'manifest.csv'}\n", "")
