"""Unmodified scripts with `mlflow.autolog()`: run, registered, loaded back and served, the numbers stay the same."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.server.test_process import QUIET, address, process

pytestmark = [pytest.mark.slow, pytest.mark.timeout(300)]

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


def script(code: str, url: str, folder: Path) -> Any:
    """What a script that knows of nothing but MLflow prints last, as JSON."""
    pytest.importorskip("mlflow", reason="MLflow's client is not installed")
    told = QUIET | {"MLFLOW_TRACKING_URI": url, "MLFLOW_DISABLE_TELEMETRY": "true"}
    done = subprocess.run(
        [sys.executable, "-c", code], env=told, cwd=folder, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout.splitlines()[-1])


def served(home: Path, name: str, body: dict[str, object]) -> Any:
    """What the champion of a name answers at /invocations."""
    with process(home, "serve", f"models:/{name}@champion", "--port", "0") as serving:
        answer = httpx.post(f"{address(serving)}/invocations", json=body, timeout=60)
    assert answer.status_code == 200, answer.text
    return answer.json()["predictions"]


def trusted(home: Path, name: str) -> None:
    """Somebody has read the code of a model's first version, and lets it run."""
    with process(home, "models", "trust", name, "1", "--reason", "I wrote it.") as done:
        assert done.wait(60) == 0


@pytest.mark.parametrize("library", TRAININGS)
def test_a_script_runs_registers_loads_back_and_is_served(library: str, url: str, home: Path, tmp_path: Path) -> None:
    pytest.importorskip(library)
    said = script(SCRIPT.format(training=TRAININGS[library], library=library), url, tmp_path)
    assert said["status"] == "FINISHED"
    assert said["parameters"]
    assert said["again"] == said["expected"]
    assert served(home, library, {"inputs": said["inputs"]}) == pytest.approx(said["expected"], rel=1e-6)


TORCH = """
import json, mlflow, torch
from mlflow.models import infer_signature

mlflow.autolog(silent=True)
mlflow.set_experiment("networks")
torch.manual_seed(0)
X = torch.randn(5, 3)
network = torch.nn.Sequential(torch.nn.Linear(3, 4), torch.nn.ReLU(), torch.nn.Linear(4, 2))
expected = network(X).detach().numpy()
with mlflow.start_run():
    mlflow.pytorch.log_model(network, name="model", signature=infer_signature(X.numpy(), expected),
                             serialization_format="pickle", registered_model_name="network",
                             pip_requirements=["torch"])
mlflow.MlflowClient().set_registered_model_alias("network", "champion", "1")
again = mlflow.pyfunc.load_model("models:/network@champion").predict(X.numpy())
print(json.dumps(dict(inputs=X.tolist(), expected=expected.tolist(), again=again.tolist())))
"""


def test_a_network_of_pytorch_is_served_once_somebody_trusts_its_code(url: str, home: Path, tmp_path: Path) -> None:
    pytest.importorskip("torch")
    said = script(TORCH, url, tmp_path)
    assert said["again"] == said["expected"]
    trusted(home, "network")
    for answered, expected in zip(served(home, "network", {"inputs": said["inputs"]}), said["expected"], strict=True):
        assert answered == pytest.approx(expected, rel=1e-5)


LIGHTNING = """
import json, mlflow, torch
from lightning.pytorch import LightningModule, Trainer

class Line(LightningModule):
    def __init__(self):
        super().__init__()
        self.layer = torch.nn.Linear(3, 1)
    def forward(self, rows):
        return self.layer(rows)
    def training_step(self, batch, at):
        loss = torch.nn.functional.mse_loss(self(batch[0]), batch[1])
        self.log("loss", loss, on_epoch=True, on_step=False)
        return loss
    def configure_optimizers(self):
        return torch.optim.SGD(self.parameters(), lr=0.1)

mlflow.set_experiment("lightning")
mlflow.pytorch.autolog(silent=True)
torch.manual_seed(0)
X = torch.randn(64, 3)
batches = torch.utils.data.DataLoader(torch.utils.data.TensorDataset(X, X[:, :1]), batch_size=16)
model = Line()
with mlflow.start_run() as run:
    Trainer(max_epochs=3, logger=False, accelerator="cpu", enable_progress_bar=False,
            enable_checkpointing=False).fit(model, batches)
client = mlflow.MlflowClient()
known = client.get_run(run.info.run_id)
losses = [point.value for point in client.get_metric_history(run.info.run_id, "loss")]
again = mlflow.pytorch.load_model(f"runs:/{run.info.run_id}/model", weights_only=False)(X[:2]).tolist()
print(json.dumps(dict(id=run.info.run_id, losses=losses, parameters=known.data.params, status=known.info.status,
                      expected=model(X[:2]).tolist(), again=again)))
"""


def test_autolog_of_a_lightning_training_keeps_losses_parameters_and_the_model(
    url: str, home: Path, tmp_path: Path
) -> None:
    pytest.importorskip("pytorch_lightning", reason="Lightning, as MLflow imports it, is not installed")
    said = script(LIGHTNING, url, tmp_path)
    assert said["status"] == "FINISHED"
    assert (said["parameters"]["optimizer_name"], float(said["parameters"]["lr"])) == ("SGD", 0.1)
    assert said["again"] == said["expected"]
    ours = httpx.get(f"{url}/api/v1/runs/{said['id']}").json()
    assert ours["metrics"]["loss"] == said["losses"][-1]
    assert len(said["losses"]) == 3
    assert said["losses"][2] < said["losses"][0]


NESTED = """
import json, mlflow, pandas as pd
from mlflow.models import ModelSignature
from mlflow.types import ColSpec, DataType, Schema
from mlflow.types.schema import Array, Object, Property

class Telling(mlflow.pyfunc.PythonModel):
    def predict(self, context, model_input, params=None):
        return [{"year": int(row["at"].year + row["who"]["id"]), "path": [*row["path"], 0.5]}
                for row in model_input.to_dict("records")]

takes = Schema([ColSpec(DataType.datetime, "at"), ColSpec(Array(DataType.double), "path"),
                ColSpec(Object([Property("id", DataType.long)]), "who")])
gives = Schema([ColSpec(Object([Property("year", DataType.long), Property("path", Array(DataType.double))]))])
rows = [{"at": "2026-11-23T03:00:00", "path": [1.0, 2.0], "who": {"id": 1}},
        {"at": "1999-01-01T00:00:00", "path": [], "who": {"id": 2}}]
with mlflow.start_run():
    mlflow.pyfunc.log_model(name="model", python_model=Telling(), registered_model_name="nested",
                            signature=ModelSignature(takes, gives), pip_requirements=["pandas"])
mlflow.MlflowClient().set_registered_model_alias("nested", "champion", "1")
asked = json.dumps(rows)  # MLflow writes NumPy's numbers into the rows themselves.
frame = pd.DataFrame(rows)
frame["at"] = pd.to_datetime(frame["at"])
expected = mlflow.pyfunc.load_model("models:/nested@champion").predict(frame)
print(json.dumps(dict(rows=json.loads(asked), expected=expected)))
"""


def test_a_model_of_times_lists_and_objects_is_served_as_mlflow_would(url: str, home: Path, tmp_path: Path) -> None:
    said = script(NESTED, url, tmp_path)
    trusted(home, "nested")
    assert served(home, "nested", {"dataframe_records": said["rows"]}) == said["expected"]
