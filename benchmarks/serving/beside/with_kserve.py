"""KServe's model server with one worker: a model of one's own, which speaks the Open Inference Protocol."""

from __future__ import annotations

from typing import Any

from kserve import InferOutput, InferRequest, InferResponse, Model, ModelServer
from predicting import given, load

FOLDER, ENGINE, PORT = given()


class Scores(Model):  # type: ignore[misc]  # Its types are not ours.
    """Rows in, scores out."""

    def __init__(self) -> None:
        super().__init__("bench")
        self.model = load(FOLDER, ENGINE)
        self.ready = True

    def predict(self, payload: InferRequest, headers: Any = None, response_headers: Any = None) -> InferResponse:
        """The scores."""
        scores = self.model(payload.inputs[0].as_numpy())
        output = InferOutput("score", [len(scores)], "FP64")
        output.set_data_from_numpy(scores, binary_data=bool(payload.inputs[0]._raw_data))
        return InferResponse(payload.id or "1", "bench", [output])


if __name__ == "__main__":
    ModelServer(http_port=PORT, workers=1, enable_grpc=False, access_log_format=None).start([Scores()])
