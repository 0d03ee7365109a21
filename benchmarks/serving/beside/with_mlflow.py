"""MLflow's scoring server with one worker: the model saved by MLflow, served by `mlflow models serve`."""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import Any

import mlflow
from predicting import given, load

FOLDER, ENGINE, PORT = given()


class Scores(mlflow.pyfunc.PythonModel):  # type: ignore[misc]  # Its types are not ours.
    """Rows in, scores out."""

    def load_context(self, context: Any) -> None:
        """Load the model."""
        from predicting import load

        self.model = load(context.artifacts["folder"], os.environ["BENCH_ENGINE"])

    def predict(self, context: Any, model_input: Any, params: Any = None) -> Any:
        """The scores."""
        return self.model(model_input)


def _saved() -> Path:
    """The model as a folder of MLflow's."""
    folder = Path(FOLDER) / f"mlflow-{ENGINE}"
    if folder.exists():
        return folder
    if ENGINE == "native":
        import lightgbm

        mlflow.lightgbm.save_model(lightgbm.Booster(model_file=str(Path(FOLDER) / "model.txt")), folder)
    else:
        code = [str(Path(__file__).with_name("predicting.py"))]
        load(FOLDER, ENGINE)
        mlflow.pyfunc.save_model(folder, python_model=Scores(), artifacts={"folder": FOLDER}, code_paths=code)
    return folder


if __name__ == "__main__":
    place = _saved()
    if "prepare" not in sys.argv:
        words = ["-m", "mlflow", "models", "serve", "-m", str(place), "--env-manager", "local", "--workers", "1"]
        os.execv(sys.executable, [sys.executable, *words, "--host", "127.0.0.1", "--port", str(PORT)])
