"""The notebooks run from top to bottom, on tiny settings, with one bar of progress and no red blocks."""

from pathlib import Path

import pytest

nbformat = pytest.importorskip("nbformat")
nbclient = pytest.importorskip("nbclient")
pytest.importorskip("ipykernel")

ROOT = Path(__file__).parents[2]
NOTEBOOKS = ROOT / "experiments" / "notebooks"
FIRST = 'from tests.api.tiny import TINY_RUN as config\n\noptions = {"strategies": ("differentiable",), "out": "found"}'
OWN = """
from tests.api.tiny import OWN_OPTIONS, OWN_SIZES

options = {name: value for name, value in OWN_OPTIONS.items() if name not in ("budget", "strategies")}
options["search"] = options["search"] | {"steps": 6}
options["baseline_networks"] = 1
clip_count, out = 48, "found"
sizes = {"shapes": OWN_SIZES | {"num_frames": 4}}
"""


def execute(name, settings, folder):
    """Code cells of a notebook by their source, with what they put out."""
    notebook = nbformat.read(NOTEBOOKS / name, as_version=4)
    (parameters,) = [cell for cell in notebook.cells if "parameters" in cell.metadata.get("tags", ())]
    before, last = parameters.source.rpartition("\n\n")[::2] if "import " in parameters.source else ("", "")
    parameters.source = f"{before}\n{settings}" if last else settings
    with pytest.MonkeyPatch().context() as patch:
        patch.setenv("PYTHONPATH", str(ROOT))
        nbclient.NotebookClient(notebook, timeout=300, resources={"metadata": {"path": str(folder)}}).execute()
    return {cell.source: cell.outputs for cell in notebook.cells if cell.cell_type == "code"}


@pytest.fixture(scope="module")
def first(tmp_path_factory):
    return execute("first_search.ipynb", FIRST, tmp_path_factory.mktemp("first"))


@pytest.fixture(scope="module")
def own(tmp_path_factory):
    return execute("own_space.ipynb", OWN, tmp_path_factory.mktemp("own"))


def kinds(outputs):
    return [set(output["data"]) for output in outputs if output["output_type"] in ("display_data", "execute_result")]


def of(cells, part):
    """What the one cell with a part of its source puts out."""
    (outputs,) = [outputs for source, outputs in cells.items() if part in source]
    return outputs


@pytest.mark.parametrize("path", sorted(NOTEBOOKS.glob("*.ipynb")), ids=lambda path: path.stem)
def test_it_is_kept_without_outputs_and_names_nothing_from_below(path):
    for cell in nbformat.read(path, as_version=4).cells:
        if cell.cell_type == "code":
            assert not cell.outputs and cell.execution_count is None
            assert "tvnjax." not in "".join(line for line in cell.source.splitlines() if "import" in line)


def test_a_run_shows_one_bar_and_itself(first):
    outputs = of(first, "tvnjax.run(")
    assert [output["output_type"] for output in outputs] == ["display_data", "execute_result"]
    assert "done: found" in outputs[0]["data"]["text/html"]
    assert "top-1 on the test split" in outputs[1]["data"]["text/html"]


@pytest.mark.parametrize("name", ["first", pytest.param("own", marks=pytest.mark.slow)])
def test_nothing_is_printed_in_red(name, request):
    cells = request.getfixturevalue(name)
    said = {source: out for source, outputs in cells.items() for out in outputs if out["output_type"] == "stream"}
    assert not [out for out in said.values() if out["name"] == "stderr"]
    assert all("print(" in source for source in said)


def test_every_cell_shows_what_it_is_for(first):
    html = {"run.rows()", "run.candidates()", "tvnjax.open_run(run.path)", "tvnjax.zoo"}
    assert html <= set(first)
    for source in html:
        assert kinds(first[source]) == [{"text/html", "text/plain"}], source
    assert kinds(first['run.figure("accuracy_latency")']) == [{"image/png", "text/plain"}]
    assert "Prediction(" in of(first, "model.predict")[0]["data"]["text/plain"]
    assert of(first, "logits")[0]["data"]["text/plain"] == "(1, 4)"


@pytest.mark.slow
def test_a_space_an_operator_and_a_strategy_of_one_s_own_are_searched_from_a_notebook(own):
    assert "done: found" in of(own, "run = tvnjax.run(")[0]["data"]["text/html"]
    shown = of(own, "run = tvnjax.run(")[1]["data"]["text/html"]
    assert "HillClimb" in shown and "differentiable" in shown
    assert kinds(of(own, "model.draw()")) == [{"image/png", "text/plain"}]
    assert "left" in of(own, "model.predict")[0]["data"]["text/plain"]
    assert of(own, "model.export")[0]["text"].startswith("network.stablehlo differs from JAX by ")
    assert kinds(of(own, "inside = tvnjax.run("))[1] == {"image/png", "text/plain"}
