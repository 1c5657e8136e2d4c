"""Progress of a run begun from Python: one bar in a notebook, lines in a terminal, nothing where that is asked for."""

import sys
import types

import pytest

from tvnjax.api import progress
from tvnjax.api.progress import RunMonitor


class Shell:
    kernel = object()


@pytest.fixture
def notebook(monkeypatch):
    """A stand-in for Jupyter that keeps what is displayed, and what each display is updated to."""
    shown = []

    class Handle:
        def __init__(self, first):
            self.drawn = [first]

        def update(self, data):
            self.drawn.append(data)

    def display(data, *, display_id):
        assert display_id
        shown.append(Handle(data))
        return shown[-1]

    ipython, module = types.ModuleType("IPython"), types.ModuleType("IPython.display")
    ipython.get_ipython = Shell
    module.display, module.HTML = display, str
    monkeypatch.setitem(sys.modules, "IPython", ipython)
    monkeypatch.setitem(sys.modules, "IPython.display", module)
    return shown


def work(monitor):
    for stage in ("data", "profile", "differentiable <b>\x1b[1m"):
        for done in range(200):
            monitor.progress(stage, done, 200, "loss <1>")
        monitor.progress(stage, 200, 200, "loss <1>")
    monitor.close("done: runs/x")


def test_one_bar_in_a_notebook(notebook, capsys):
    work(RunMonitor())
    assert len(notebook) == 1, "all stages share one bar"
    drawn = notebook[0].drawn
    assert len(drawn) < 12, "not every step draws"
    assert "width: 100%" in drawn[-1] and "done: runs/x" in drawn[-1]
    assert all("<b>" not in one and "\x1b" not in one and "<1>" not in one for one in drawn)
    assert capsys.readouterr() == ("", ""), "no red block of lines"


def test_lines_elsewhere(capsys):
    work(RunMonitor())
    told = capsys.readouterr()
    lines = told.err.splitlines()
    assert told.out == "" and len(lines) == 6 and lines[0].startswith("data: 0%") and lines[1].startswith("data: 100%")


def test_nothing_where_it_is_to_be_quiet(notebook, capsys):
    work(RunMonitor(quiet=True))
    assert notebook == [] and capsys.readouterr() == ("", "")


def test_ipython_in_a_terminal_is_no_notebook(monkeypatch):
    ipython = types.ModuleType("IPython")
    ipython.get_ipython = object
    monkeypatch.setitem(sys.modules, "IPython", ipython)
    assert not progress.in_notebook()
