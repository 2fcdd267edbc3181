"""The notebook runs from its first cell to its last, and says what the page about it promises."""

from __future__ import annotations

from pathlib import Path

import nbformat
import pytest
from nbclient import NotebookClient
from project import PROJECT, make_project

NOTEBOOK = PROJECT / "docs/notebook.ipynb"


@pytest.fixture(scope="module")
def cells(tmp_path_factory: pytest.TempPathFactory) -> list[nbformat.NotebookNode]:
    """Cells of code, executed in a copy of the project, started in its folder of documentation."""
    project = make_project(tmp_path_factory.mktemp("notebook"))
    (project.folder / "docs").mkdir(exist_ok=True)
    notebook = nbformat.read(NOTEBOOK, as_version=4)
    client = NotebookClient(
        notebook, timeout=600, resources={"metadata": {"path": str(project.folder / "docs")}}
    )
    with pytest.MonkeyPatch.context() as patch:
        for name, value in project.environment.items():
            patch.setenv(name, value)
        client.execute()
    assert (project.folder / "notebook_table.csv").is_file()
    return [cell for cell in notebook.cells if cell.cell_type == "code"]


def said(cell: nbformat.NotebookNode) -> str:
    texts = [one.get("text") or one["data"]["text/plain"] for one in cell.outputs]
    return "\n".join(texts)


def test_it_ends_with_predictions_of_each_molecule(cells: list[nbformat.NotebookNode]) -> None:
    answer, board, classes, predicted, page = map(said, cells[2:])
    assert "Use " in answer
    assert "test_balanced_accuracy" in board
    for name in ("reductions", "protections", "acylation and related processes"):
        assert name in classes
    assert "C[Si](C)(C)OCc1ccccc1" in predicted
    assert "index.html" in page


def test_it_is_kept_without_outputs() -> None:
    """What it prints is made where it runs; a copy that was executed would grow old."""
    notebook = nbformat.read(NOTEBOOK, as_version=4)
    nbformat.validate(notebook)
    assert all(not cell.outputs for cell in notebook.cells if cell.cell_type == "code")
    assert Path(NOTEBOOK).stat().st_size < 10_000
