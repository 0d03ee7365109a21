"""A working day of MLflow's client: with the client of our own tests, or with that of another Python.

`EVERLOOP_MLFLOW_PYTHON` names a Python that has the whole MLflow; without it the small one is asked that is here.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.server.mlflow import workingday
from tests.server.test_process import QUIET, address, process

pytestmark = [pytest.mark.slow, pytest.mark.timeout(600)]
PYTHON = os.environ.get("EVERLOOP_MLFLOW_PYTHON", sys.executable)
DAY = Path(workingday.__file__)
STEPS = [function.__name__ for function in workingday.STEPS]
ENDPOINTS = 62
"""So many at least a day with the whole MLflow asks."""


@pytest.fixture(scope="module")
def url(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The address of a server."""
    with process(tmp_path_factory.mktemp("day") / "home", "server", "--port", "0") as server:
        yield address(server)


@pytest.fixture(scope="module")
def told(url: str, tmp_path_factory: pytest.TempPathFactory) -> dict[str, dict[str, str]]:
    """How each step of the day went, and which endpoints were asked."""
    pytest.importorskip("mlflow", reason="MLflow's client is not installed")
    folder = tmp_path_factory.mktemp("files")
    said = QUIET | {"MLFLOW_DISABLE_TELEMETRY": "true", "MLFLOW_HTTP_REQUEST_MAX_RETRIES": "0"}
    done = subprocess.run(
        [PYTHON, str(DAY), url, str(folder)], env=said, cwd=folder, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr[-3000:]
    lines = [json.loads(line) for line in done.stdout.splitlines() if line.startswith("{")]
    return {line.get("step", "asked"): line for line in lines}


@pytest.mark.parametrize("step", STEPS)
def test_a_step_of_the_day_goes_as_mlflow_has_it(step: str, told: dict[str, dict[str, str]]) -> None:
    if told[step]["outcome"] == "lacks":
        pytest.skip(f"not installed: {told[step]['why']}")
    assert told[step]["outcome"] == "ok", told[step]["why"]


def test_a_day_touches_what_a_client_has_to_ask(told: dict[str, dict[str, str]]) -> None:
    assert len(told["asked"]["asked"]) >= ENDPOINTS, "\n".join(told["asked"]["asked"])
