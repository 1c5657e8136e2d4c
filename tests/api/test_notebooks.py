"""The notebooks run from top to bottom, on tiny settings, with one bar of progress and no red blocks."""

from pathlib import Path

import pytest

nbformat = pytest.importorskip("nbformat")
nbclient = pytest.importorskip("nbclient")
pytest.importorskip("ipykernel")

ROOT = Path(__file__).parents[2]
FIRST = ROOT / "experiments" / "notebooks" / "first_search.ipynb"
SETTINGS = (
    'from tests.api.tiny import TINY_RUN as config\n\noptions = {"strategies": ("differentiable",), "out": "found"}'
)


@pytest.fixture(scope="module")
def executed(tmp_path_factory):
    """Code cells of the notebook by their source, with what they put out."""
    notebook = nbformat.read(FIRST, as_version=4)
    (parameters,) = [cell for cell in notebook.cells if "parameters" in cell.metadata.get("tags", ())]
    parameters.source = SETTINGS
    place = str(tmp_path_factory.mktemp("notebook"))
    with pytest.MonkeyPatch().context() as patch:
        patch.setenv("PYTHONPATH", str(ROOT))
        nbclient.NotebookClient(notebook, timeout=300, resources={"metadata": {"path": place}}).execute()
    return {cell.source: cell.outputs for cell in notebook.cells if cell.cell_type == "code"}


def kinds(outputs):
    return [set(output["data"]) for output in outputs if output["output_type"] in ("display_data", "execute_result")]


def test_it_is_kept_without_outputs_and_names_nothing_from_below():
    for cell in nbformat.read(FIRST, as_version=4).cells:
        if cell.cell_type == "code":
            assert not cell.outputs and cell.execution_count is None
            assert "tvnjax." not in "".join(line for line in cell.source.splitlines() if "import" in line)


def test_a_run_shows_one_bar_and_itself(executed):
    (outputs,) = [outputs for source, outputs in executed.items() if "tvnjax.run(" in source]
    assert [output["output_type"] for output in outputs] == ["display_data", "execute_result"]
    assert "done: found" in outputs[0]["data"]["text/html"]
    assert "top-1 on the test split" in outputs[1]["data"]["text/html"]


def test_nothing_is_printed_in_red(executed):
    said = {source: out for source, outputs in executed.items() for out in outputs if out["output_type"] == "stream"}
    assert not said


def test_every_cell_shows_what_it_is_for(executed):
    html = {"run.rows()", "run.candidates()", "tvnjax.open_run(run.path)", "tvnjax.zoo"}
    assert html <= set(executed)
    for source in html:
        assert kinds(executed[source]) == [{"text/html", "text/plain"}], source
    assert kinds(executed['run.figure("accuracy_latency")']) == [{"image/png", "text/plain"}]
    (predicted,) = [outputs for source, outputs in executed.items() if "model.predict" in source]
    assert "Prediction(" in predicted[0]["data"]["text/plain"]
    (logits,) = [outputs for source, outputs in executed.items() if "logits" in source]
    assert logits[0]["data"]["text/plain"] == "(1, 4)"
