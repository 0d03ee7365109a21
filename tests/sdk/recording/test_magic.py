"""Everloop in a notebook, by a real kernel."""

from __future__ import annotations

from pathlib import Path

import pytest

import everloop as el

CELLS = [
    "%load_ext everloop\nimport everloop as el",
    "%%everloop_run trial first rate=0.1\nel.log_metric('loss', 0.5)\nel.log_metric('loss', 0.25)",
    "run = %everloop start trial second\nel.log_metric('loss', 0.75)\nrun",
    "%everloop finish",
    "%%everloop_run trial third\nraise ValueError('broken')",
    "el.open().runs.search('trial')",
]


@pytest.mark.slow
def test_cells_are_recorded_and_runs_are_shown(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    nbclient = pytest.importorskip("nbclient")
    nbformat = pytest.importorskip("nbformat")
    monkeypatch.setenv("EVERLOOP_HOME", str(home))
    cells = [nbformat.v4.new_code_cell(source) for source in CELLS]
    notebook = nbformat.v4.new_notebook(cells=cells)
    nbclient.NotebookClient(notebook, timeout=60, kernel_name="python3", allow_errors=True).execute()
    shown = ["".join(out.get("data", {}).get("text/html", "") for out in cell.outputs) for cell in notebook.cells]
    assert "first" in shown[1]
    assert "loss" in shown[2]
    assert "broken" in str(notebook.cells[4].outputs)
    assert all(name in shown[5] for name in ("first", "second", "third", "<table>"))
    with el.open(home) as ever:
        runs = {run.name: run for run in ever.runs.search("trial")}
    assert {name: run.status for name, run in runs.items()} == {
        "first": "finished",
        "second": "finished",
        "third": "failed",
    }
    assert (runs["first"].parameters, runs["first"].metrics) == ({"rate": "0.1"}, {"loss": 0.25})
