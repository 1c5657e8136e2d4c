"""``--json`` leaves one document on standard output, ``--quiet`` the result alone, for every command."""

import dataclasses
import json
import shlex
import subprocess
import sys

import pytest

from tests.cli.told import json_of, refused, said
from tests.fabricated_table import make_table
from tests.report.fabricated_run import make_run
from tvnjax.cli.commands import COMMANDS
from tvnjax.cli.console import ConsoleMonitor
from tvnjax.cli.output import OutputOptions


@pytest.mark.parametrize("name", COMMANDS)
def test_every_command_has_both(name):
    options = COMMANDS[name].load_options()
    assert issubclass(options, OutputOptions)
    assert {"quiet", "json"} <= {field.name for field in dataclasses.fields(options)}


def test_the_zoo(capsys):
    assert [row["name"] for row in json_of(capsys, "zoo", "tvn1", "x3d-xs", "--json")] == ["tvn1", "x3d-xs"]
    out, err = said(capsys, "zoo", "tvn1")
    quiet, nothing = said(capsys, "zoo", "tvn1", "--quiet")
    assert out.startswith(quiet.rstrip("\n")) and len(out) > len(quiet) > 0 and not err and not nothing
    assert not said(capsys, "zoo", "tvn1", "--quiet", "--json")[1]
    assert "give one" in refused(capsys, "zoo", "--json", "--format", "csv")
    assert json_of(capsys, "zoo", "tvn1", "--json", "--format", "json")


def test_tables(capsys):
    assert {row["table"] for row in json_of(capsys, "tables", "found", "--json")} == {"found"}
    out, _ = said(capsys, "tables", "found")
    quiet, err = said(capsys, "tables", "found", "--quiet")
    assert out.startswith(quiet.rstrip("\n")) and len(quiet) < len(out) and not err


def test_show(capsys, tmp_path):
    told = json_of(capsys, "show", "tvn1", "--json")
    network = json_of(capsys, "zoo", "tvn1", "--json")[0]
    assert (told["params"], told["macs"]) == (network["params"], network["macs"])
    assert told["params"] == sum(row["params"] for row in told["blocks"]) + told["head"]["params"]
    assert sum(told["shares"]["by_block"].values()) <= 1
    out, _ = said(capsys, "show", "tvn1")
    quiet, _ = said(capsys, "show", "tvn1", "--quiet")
    assert out.startswith(quiet) and "multiply-adds (" in out and "multiply-adds (" not in quiet
    drawing = tmp_path / "tvn1.svg"
    assert json_of(capsys, "show", "tvn1", "--out", drawing, "--json")["drawing"] == str(drawing) and drawing.is_file()
    assert said(capsys, "show", "tvn1", "--out", drawing, "--force", "--quiet") == (f"{drawing}\n", "")


def test_diff(capsys):
    told = json_of(capsys, "diff", "tvn1", "tvn2", "--json")
    assert told["differences"] and not told["same_network"]
    assert [network["name"] for network in told["networks"]] == ["tvn1", "tvn2"]
    same = json_of(capsys, "diff", "tvn1", "tvn1", "--json")
    assert same["differences"] == [] and same["same_network"]
    assert len(said(capsys, "diff", "tvn1", "tvn2", "--quiet")[0]) < len(said(capsys, "diff", "tvn1", "tvn2")[0])


def test_scale(capsys, tmp_path):
    out = tmp_path / "wide.json"
    told = json_of(capsys, "scale", "tvn1", "--width", 2, "--out", out, "--json")
    assert told["out"] == str(out) and told["networks"][1]["params"] > told["networks"][0]["params"]
    lines = said(capsys, "scale", "tvn1", "--width", 2, "--out", out, "--force", "--quiet")[0].splitlines()
    assert len(lines) == 2 and lines[1].startswith(f"{out}: {told['networks'][1]['params']:,} parameters")


def test_runs_and_tables(capsys, tmp_path):
    run = make_run(tmp_path / "run")
    assert json_of(capsys, "report", run, "--json") == {"report": str(run / "report.html")}
    assert said(capsys, "report", run, "--quiet") == (f"{run / 'report.html'}\n", "")
    page = tmp_path / "page"
    told = json_of(capsys, "compare", run, "--out", page, "--json")
    assert told["page"] == str(page / "compare.html") and (page / "compare.md").is_file()
    table = tmp_path / "table.jsonl"
    make_table(table)
    again = ["replay", table, "--strategies", "random", "--seeds", 0, 1]
    told = json_of(capsys, *again, "--json", "--out", tmp_path / "replayed")
    assert [(row["name"], row["seed"]) for row in told["strategies"]] == [("random", 0), ("random", 1)]
    assert told["run"] == str(tmp_path / "replayed")
    kept = json.loads((tmp_path / "replayed" / "config.json").read_text())["config"]
    assert kept["type"] == "ReplayConfig" and "json" not in kept
    assert len(said(capsys, *again, "--quiet")[0]) < len(said(capsys, *again)[0])


@pytest.mark.parametrize(
    "command",
    [
        "run quick --print-config",
        "run quick --help-all",
        "run quick --help",
        "zoo --json --quiet",
        "--print-completion bash",
    ],
)
def test_a_reader_that_has_enough_ends_it_quietly(command):
    line = f"set -o pipefail; {shlex.quote(sys.executable)} -m tvnjax {command} | head -1"
    told = subprocess.run(["bash", "-c", line], capture_output=True, text=True)
    assert told.stdout.count("\n") == 1 and not told.stderr and told.returncode in (0, 141)


def test_a_quiet_monitor_prints_nothing_and_keeps_events(capsys):
    class Kept:
        events = ()

        def event(self, kind, **fields):
            self.events = (*self.events, kind)

    kept = Kept()
    with ConsoleMonitor(kept, quiet=True) as monitor:
        for done in range(3):
            monitor.progress("search", done, 2, "loss")
        monitor.event("search_step")
    assert capsys.readouterr() == ("", "") and kept.events == ("search_step",)
    with ConsoleMonitor(kept) as monitor:
        monitor.progress("search", 2, 2, "loss")
    assert "search" in capsys.readouterr().err
