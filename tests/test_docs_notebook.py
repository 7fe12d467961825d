"""examples/first_steps.ipynb: it runs from start to end, prints nothing beside its results, and they are right."""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import Any

import nbformat
import pytest
from nbclient import NotebookClient
from support import rows

ROOT = Path(__file__).parents[1]
NOTEBOOK = ROOT / "examples" / "first_steps.ipynb"


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("notebook")


@pytest.fixture(scope="module")
def cells(folder: Path) -> list[Any]:
    """The cells of code as they stand after a run in a new folder."""
    notebook = nbformat.read(NOTEBOOK, as_version=4)
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("PYTHONPATH", os.pathsep.join([str(ROOT), *sys.path]))
        patch.setenv("IPYTHONDIR", str(folder / "ipython"))
        NotebookClient(notebook, timeout=300, resources={"metadata": {"path": str(folder)}}).execute()
    return [cell for cell in notebook.cells if cell.cell_type == "code"]


def shown(cells: list[Any], source: str) -> Any:
    """Find what the cell with this source shows."""
    (cell,) = (cell for cell in cells if source in cell.source)
    (output,) = cell.outputs
    return output["data"]


def test_it_is_kept_without_outputs() -> None:
    notebook = nbformat.read(NOTEBOOK, as_version=4)
    nbformat.validate(notebook)
    code = [cell for cell in notebook.cells if cell.cell_type == "code"]
    assert len(code) > 10 and not any(cell.outputs or cell.execution_count for cell in code)


def test_each_cell_shows_one_result_and_no_cell_prints(cells: list[Any]) -> None:
    assert [[output.output_type for output in cell.outputs] for cell in cells] == [["execute_result"]] * len(cells)


def test_the_index_is_filled_and_named(cells: list[Any], folder: Path) -> None:
    assert "added=400" in shown(cells, "clipdb.ingest_images(")["text/plain"]
    index = folder / "first-steps" / "first.clipdb"
    assert rows(index, "select count(*) from spans") == [(24 * 20,)]
    named = dict(rows(index, "select labeller, count(*) from labels where property is not null group by all"))
    assert named["vote"] == 24 and named["zero-shot"] > 18 and named["human:ada"] == 1


def test_the_pictures_are_shown(cells: list[Any]) -> None:
    assert "image/png" in shown(cells, "side_by_side([")


def test_colour_heads_find_the_same_colour(cells: list[Any]) -> None:
    text = shown(cells, "same_colour desc")["text/plain"]
    found = [float(line.split()[-1]) for line in text.splitlines()[1:]]
    assert found and min(found) > 0.3 and max(found) > 0.6  # one in ten by chance
