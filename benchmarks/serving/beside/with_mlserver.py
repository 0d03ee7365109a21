"""MLServer with its LightGBM runtime, in one process; for anything else a runtime of one's own."""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path

from predicting import given, load

FOLDER, ENGINE, PORT = given()

if __name__ != "__main__":
    from mlserver import MLModel
    from mlserver.codecs import NumpyCodec
    from mlserver.types import InferenceRequest, InferenceResponse

    class Scores(MLModel):  # type: ignore[misc]  # Its types are not ours.
        """Rows in, scores out."""

        async def load(self) -> bool:
            """Load the model."""
            self.model = load(FOLDER, ENGINE)
            return True

        async def predict(self, payload: InferenceRequest) -> InferenceResponse:
            """The scores."""
            scores = self.model(NumpyCodec.decode_input(payload.inputs[0]))
            return InferenceResponse(model_name=self.name, outputs=[NumpyCodec.encode_output("score", scores)])


def _configured() -> Path:
    """A folder with the settings of the server and the model."""
    folder = Path(FOLDER) / f"mlserver-{PORT}"
    folder.mkdir()
    own = ENGINE != "native"
    model = {
        "name": "bench",
        "implementation": "with_mlserver.Scores" if own else "mlserver_lightgbm.LightGBMModel",
        "parameters": {} if own else {"uri": str(Path(FOLDER) / "model.txt")},
    }
    places = {"host": "127.0.0.1", "http_port": PORT, "grpc_port": PORT + 1, "metrics_port": PORT + 2}
    (folder / "settings.json").write_text(json.dumps({"debug": False, "parallel_workers": 0} | places))
    (folder / "model-settings.json").write_text(json.dumps(model))
    return folder


if __name__ == "__main__":
    os.environ["PYTHONPATH"] = str(Path(__file__).parent)
    command = Path(sys.executable).with_name("mlserver")
    os.execv(command, [str(command), "start", str(_configured())])
