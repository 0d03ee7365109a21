"""Unmodified scripts with `mlflow.autolog()`: run, registered, loaded back and served, the numbers stay the same."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from tests.server.test_process import QUIET, address, process

pytestmark = pytest.mark.slow

SCRIPT = """
import json, sys
import mlflow
import numpy as np

mlflow.autolog(silent=True)
mlflow.set_experiment("scripts")
X = np.random.default_rng(0).normal(size=(200, 3))
with mlflow.start_run() as run:
    {training}
    expected = model.predict(X[:5])
version = mlflow.register_model(f"runs:/{{run.info.run_id}}/model", "{library}")
mlflow.MlflowClient().set_registered_model_alias("{library}", "champion", version.version)
again = mlflow.pyfunc.load_model("models:/{library}@champion").predict(X[:5])
known = mlflow.get_run(run.info.run_id)
print(json.dumps(dict(inputs=X[:5].tolist(), expected=expected.tolist(), again=np.asarray(again).tolist(),
                      parameters=known.data.params, status=known.info.status)))
"""
TRAININGS = {
    "sklearn": "from sklearn.linear_model import Ridge; model = Ridge(alpha=0.5).fit(X, X[:, 0] * 2 + 1)",
    "lightgbm": "import lightgbm; model = lightgbm.LGBMRegressor(n_estimators=5, verbose=-1).fit(X, X[:, 0])",
    "xgboost": "import xgboost; model = xgboost.XGBRegressor(n_estimators=5).fit(X, X[:, 0])",
}


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The home of the server."""
    return tmp_path_factory.mktemp("scripts") / "home"


@pytest.fixture(scope="module")
def url(home: Path) -> Iterator[str]:
    """The address of a server, which the scripts share."""
    with process(home, "server", "--port", "0") as server:
        yield address(server)


@pytest.mark.parametrize("library", TRAININGS)
def test_a_script_runs_registers_loads_back_and_is_served(library: str, url: str, home: Path, tmp_path: Path) -> None:
    pytest.importorskip("mlflow", reason="MLflow's client is not installed")
    pytest.importorskip(library)
    told = QUIET | {"MLFLOW_TRACKING_URI": url, "MLFLOW_DISABLE_TELEMETRY": "true"}
    code = SCRIPT.format(training=TRAININGS[library], library=library)
    done = subprocess.run(
        [sys.executable, "-c", code], env=told, cwd=tmp_path, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    said = json.loads(done.stdout.splitlines()[-1])
    assert said["status"] == "FINISHED"
    assert said["parameters"]
    assert said["again"] == said["expected"]
    with process(home, "serve", f"models:/{library}@champion", "--port", "0") as serving:
        answer = httpx.post(f"{address(serving)}/invocations", json={"inputs": said["inputs"]}, timeout=60)
    assert answer.json().get("predictions") == pytest.approx(said["expected"], rel=1e-6), answer.text
