"""The notebook of the docs runs from its first cell to its last, and is as short as it says."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

import nbclient
import nbformat
import pytest

NOTEBOOK = Path(__file__).parents[2] / "docs" / "notebook.ipynb"


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore")  # of the client's event loop and sockets
def test_the_notebook_runs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(os.environ, "MPLBACKEND", "agg")
    shutil.copy(NOTEBOOK, tmp_path)
    notebook = nbformat.read(tmp_path / NOTEBOOK.name, as_version=4)  # type: ignore[no-untyped-call]
    nbclient.NotebookClient(notebook, timeout=300, resources={"metadata": {"path": str(tmp_path)}}).execute()
    shown = [output for cell in notebook.cells for output in cell.get("outputs", ())]
    tables = [output["data"]["text/html"] for output in shown if "text/html" in output.get("data", {})]
    assert all(name in tables[0] for name in ("ew", "uw", "test_delta_m_mean"))
    assert any("vegaEmbed" in table for table in tables)  # a chart


def test_from_a_dataset_and_a_module_to_results_are_15_lines() -> None:
    notebook = nbformat.read(NOTEBOOK, as_version=4)  # type: ignore[no-untyped-call]
    file, study, *_ = (cell["source"] for cell in notebook.cells if cell["cell_type"] == "code")
    lines = [*file[file.index("def data") :].splitlines(), *study.splitlines()]
    assert len([line for line in lines if line.strip()]) <= 15
