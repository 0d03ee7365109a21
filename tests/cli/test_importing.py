"""`everloop import` on the command line: what it says, and that killing it costs nothing."""

from __future__ import annotations

import json
import shutil
import signal
import sqlite3
import subprocess
import sys
from pathlib import Path

import pytest

STORE = Path(__file__).parent.parent / "tracking" / "imports" / "stores" / "mlflow-2.9"


def everloop(*arguments: str | Path) -> subprocess.Popen[str]:
    """The command, begun."""
    command = [sys.executable, "-m", "everloop", *map(str, arguments)]
    return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


def grown(folder: Path, runs: int) -> Path:
    """A store with more runs, of a thousand points each."""
    shutil.copytree(STORE, folder)
    with sqlite3.connect(folder / "mlflow.db") as store:
        for number in range(runs):
            id = f"{number:032x}"
            store.execute(
                "INSERT INTO runs (run_uuid, name, status, start_time, lifecycle_stage, experiment_id, artifact_uri)"
                " VALUES (?, ?, 'FINISHED', 1700000000000, 'active', 1, '')",
                (id, f"run {number}"),
            )
            points = [("loss", step / 7, 1_700_000_000_000 + step, id, step, 0) for step in range(1_000)]
            store.executemany(
                "INSERT INTO metrics (key, value, timestamp, run_uuid, step, is_nan) VALUES (?, ?, ?, ?, ?, ?)", points
            )
    return folder


@pytest.mark.slow
def test_a_store_is_brought_with_its_models_and_told_of(tmp_path: Path) -> None:
    source = ("import", "mlflow", STORE / "mlflow.db", "--artifacts", STORE / "artifacts", "--home", tmp_path / "home")
    output, errors = everloop(*source).communicate()
    assert "versions     2" in output, errors
    again, _ = everloop(*source, "--json").communicate()
    assert json.loads(again)["here"] == 4


@pytest.mark.slow
def test_what_is_no_store_is_told_in_a_sentence(tmp_path: Path) -> None:
    process = everloop("import", "mlflow", tmp_path, "--home", tmp_path / "home")
    _, errors = process.communicate()
    assert process.returncode == 2
    assert "no store of MLflow's" in errors
    assert "Traceback" not in errors


@pytest.mark.slow
def test_killed_imports_end_with_each_run_once(tmp_path: Path) -> None:
    store = grown(tmp_path / "store", 1_500)
    source = ("import", "mlflow", store / "mlflow.db", "--home", tmp_path / "home", "--json")
    for seconds in (2.0, 3.0):
        process = everloop(*source)
        try:
            process.wait(seconds)
        except subprocess.TimeoutExpired:
            process.send_signal(signal.SIGKILL)
        process.communicate()
    output, errors = everloop(*source).communicate()
    report = json.loads(output)
    assert (report["runs"], report["wrong"]) == (1_504, []), errors
    with sqlite3.connect(tmp_path / "home" / "catalog.db") as home:
        ((runs,),) = home.execute("SELECT count(*) FROM runs")
        ((points,),) = home.execute("SELECT sum(count) FROM metric_blocks WHERE run LIKE '00000000%'")
    assert (runs, points) == (1_504, 1_500_000)
